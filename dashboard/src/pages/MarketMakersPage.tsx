import { ActionIcon, Button, Menu, Select, TextInput } from '@mantine/core'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useEffect, useMemo, useState } from 'react'
import { can } from '../can'
import { formatAmount, formatCount, type Asset } from '../format'
import { useKeys } from '../keyboard'
import { balanceKey, type Balance } from '../live/balances'
import { readMakersSearch } from '../marketPaths'
import { DeactivateDialog, useActivate } from '../parts/MakerActions'
import { CreateMakerDialog, EditMakerDialog } from '../parts/MakerDialog'
import type { MakerEntry } from '../parts/makerDocuments'
import { useMakerBalances } from '../parts/useBalances'
import { useMakers } from '../parts/useMakers'
import { usePerson } from '../parts/usePerson'
import { DataTable, type Column } from '../ui/DataTable'
import { Icon } from '../ui/icons'
import { MenuLink } from '../ui/links'
import { EmptyNote, IgnoredNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import { StateMark } from '../ui/Status'

const TYPING_MS = 300
const ASSETS = ['CEA', 'EUA', 'EUR'] as const satisfies readonly Asset[]
const FIGURES = ['available', 'locked', 'total'] as const
const route = getRouteApi('/desk/market-makers')

type Asked = { what: 'create' } | { what: 'edit' | 'deactivate'; maker: MakerEntry }

/** List the market makers with what they own now; create, change, deactivate them. */
export function MarketMakersPage() {
  const { search, isActive, ignored } = readMakersSearch(route.useSearch())
  const navigate = route.useNavigate()
  const writes = can(usePerson()?.role, 'desk.write')
  const filter = useMemo(
    () => ({ ...(search && { search }), ...(isActive !== undefined && { isActive }) }),
    [search, isActive],
  )
  const [view, feed] = useMakers(filter)
  const balances = useMakerBalances()
  const [asked, setAsked] = useState<Asked>()
  const reload = () => void feed.reload()
  const activate = useActivate(reload)
  const columns = useMemo(
    () => columnsOf(balances, writes ? { ask: setAsked, activate: (maker) => void activate(maker) } : undefined),
    [balances, writes, activate],
  )
  useKeys('Market makers', writes ? [{ keys: 'n', does: 'New market maker', run: () => setAsked({ what: 'create' }) }] : [])
  const close = () => setAsked(undefined)
  const isFiltered = search !== '' || isActive !== undefined
  const create = writes && (
    <Button size="sm" leftSection={<Icon name="plus" size={16} />} onClick={() => setAsked({ what: 'create' })}>
      New market maker
    </Button>
  )

  return (
    <Page
      title="Market makers"
      actions={
        <>
          <SearchField value={search} change={(q) => void navigate({ search: (old) => ({ ...old, q: q || undefined }), replace: true })} />
          <Select
            size="sm"
            w={130}
            aria-label="Status"
            data={[{ value: 'ALL', label: 'All' }, { value: 'true', label: 'Active' }, { value: 'false', label: 'Inactive' }]}
            value={isActive === undefined ? 'ALL' : String(isActive)}
            allowDeselect={false}
            onChange={(value) => void navigate({ search: (old) => ({ ...old, active: value === 'ALL' ? undefined : (value ?? undefined) }) })}
          />
          {create}
        </>
      }
    >
      <IgnoredNote ignored={ignored} />
      <Panel label="List of market makers">
          <DataTable
            label="Market makers"
            columns={columns}
            rows={view.rows}
            keyOf={({ id }) => id}
            phase={view.phase}
            problem={view.problem}
            again={reload}
            rowCount={view.rows.length}
            toneOf={({ isActive: active }) => (active ? undefined : 'quiet')}
            open={({ id }) => void navigate({ to: '/market-makers/$makerId', params: { makerId: id } })}
            empty={
              isFiltered ? (
                <EmptyNote title="No market makers match">
                  <Button size="xs" variant="default" onClick={() => void navigate({ search: {} })}>
                    Remove the filters
                  </Button>
                </EmptyNote>
              ) : (
                <EmptyNote title="No market makers yet">{create}</EmptyNote>
              )
            }
          />
      </Panel>
      {asked?.what === 'create' && <CreateMakerDialog close={close} made={reload} />}
      {asked?.what === 'edit' && (
        <EditMakerDialog maker={asked.maker} close={close} changed={reload} deactivate={() => setAsked({ what: 'deactivate', maker: asked.maker })} />
      )}
      {asked?.what === 'deactivate' && <DeactivateDialog maker={asked.maker} close={close} changed={reload} />}
    </Page>
  )
}

function SearchField({ value, change }: { value: string; change: (value: string) => void }) {
  const [text, setText] = useState(value)
  const [shown, setShown] = useState(value)
  if (value !== shown) {
    setShown(value) // by Back, or by a link
    setText(value)
  }
  useEffect(() => {
    if (text === value) return undefined
    const timer = setTimeout(() => {
      setShown(text)
      change(text)
    }, TYPING_MS)
    return () => clearTimeout(timer)
  }, [text, value, change])
  return (
    <TextInput
      size="sm"
      w={220}
      aria-label="Search by name or email"
      placeholder="Name or email"
      data-search
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
    />
  )
}

interface Actions {
  ask: (asked: Asked) => void
  activate: (maker: MakerEntry) => void
}

function columnsOf(balances: ReadonlyMap<string, Balance>, actions: Actions | undefined): readonly Column<MakerEntry>[] {
  const figures = ASSETS.flatMap((asset) =>
    FIGURES.map(
      (figure): Column<MakerEntry> => ({
        id: `${asset} ${figure}`,
        header: figure.charAt(0).toUpperCase() + figure.slice(1),
        group: asset,
        numeric: true,
        width: 96,
        card: figure === 'available' ? 'line' : 'none',
        ...((asset === 'EUR' ? figure !== 'available' : figure === 'total') && { from: 'widest' as const }),
        cell: (maker) => {
          const balance = balances.get(balanceKey(maker.user?.id ?? '', asset)) ?? maker.balances.find((known) => known.asset === asset)
          return formatAmount(balance?.[figure] ?? '0', asset)
        },
      }),
    ),
  )
  return [
    {
      id: 'name', header: 'Name', isRowHeader: true, card: 'title',
      cell: ({ id, name }) => (
        <Link to="/market-makers/$makerId" params={{ makerId: id }}>
          {name}
        </Link>
      ),
    },
    {
      id: 'status', header: 'Status', width: 100, card: 'mark',
      cell: ({ isActive }) => <StateMark tone={isActive ? 'ok' : 'quiet'}>{isActive ? 'Active' : 'Inactive'}</StateMark>,
    },
    ...figures,
    { id: 'open', header: 'Open', width: 64, numeric: true, cell: ({ stats }) => formatCount(stats.openOrders) },
    { id: 'trades', header: 'Trades', width: 72, numeric: true, from: 'wide', card: 'none', cell: ({ stats }) => formatCount(stats.trades) },
    ...(actions ? [{ id: 'actions', header: '⋯', width: 52, card: 'end', cell: (maker: MakerEntry) => <RowMenu maker={maker} actions={actions} /> } as const] : []),
  ]
}

function RowMenu({ maker, actions: { ask, activate } }: { maker: MakerEntry; actions: Actions }) {
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${maker.name}`}>
          ⋯
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => ask({ what: 'edit', maker })}>Edit</Menu.Item>
        <MenuLink to="/market-orders" search={{ mm: maker.id }}>
          Place an order
        </MenuLink>
        <MenuLink to="/market-makers/$makerId" params={{ makerId: maker.id }} search={{ tab: 'transactions' }}>
          Transactions
        </MenuLink>
        {maker.isActive ? (
          <Menu.Item onClick={() => ask({ what: 'deactivate', maker })}>Deactivate…</Menu.Item>
        ) : (
          <Menu.Item onClick={() => activate(maker)}>Activate</Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  )
}
