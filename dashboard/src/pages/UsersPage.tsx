import { Button, Select } from '@mantine/core'
import { getRouteApi } from '@tanstack/react-router'
import { useCallback } from 'react'
import { formatCount, formatInstant, words, type Zone } from '../format'
import type { ResultOf } from '../graphql'
import { useKeys } from '../keyboard'
import { KYC_STATUSES, readUsersSearch, ROLES, type UsersSearch } from '../officePaths'
import { CreateUserModal } from '../parts/CreateUserModal'
import { UsersQuery, UsersTotal, type UserEntry } from '../parts/officeDocuments'
import { UserDrawer } from '../parts/UserDrawer'
import { ActiveMark, KycMark } from '../parts/userMarks'
import { usePages, type List } from '../parts/usePages'
import { useZone } from '../preferences'
import { DataTable, type Column } from '../ui/DataTable'
import { Icon } from '../ui/icons'
import { EmptyNote, IgnoredNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import { SearchField } from '../ui/SearchField'
import styles from '../parts/Office.module.css'

const route = getRouteApi('/desk/people/users')

const USERS = {
  query: UsersQuery,
  read: (data) => data.users,
  total: { query: UsersTotal, read: (data) => data.users },
} satisfies List<UserEntry, never, ResultOf<typeof UsersQuery>, ResultOf<typeof UsersTotal>>

/** List everybody who signs in or holds something, and open one without losing the list. */
export function UsersPage() {
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const { filter, user, creating, ignored } = readUsersSearch(search)
  const pages = usePages(USERS, { filter })
  const zone = useZone()
  const change = useCallback(
    (next: UsersSearch, replace = false) =>
      void navigate({ search: (old: UsersSearch) => ({ ...old, ...next }), replace, resetScroll: false }),
    [navigate],
  )
  const changeText = useCallback((q: string, isStep: boolean) => change({ q: q || undefined }, !isStep), [change])
  const clear = () => void navigate({ search: {} })
  const filtered = Object.keys(filter).length > 0
  useKeys('Users', [{ keys: 'n', does: 'New user', run: () => change({ new: 'user' }) }])

  return (
    <Page
      title="Users"
      section="People"
      actions={
        <Button leftSection={<Icon name="plus" size={16} />} onClick={() => change({ new: 'user' })}>
          New user
        </Button>
      }
    >
      <IgnoredNote ignored={ignored} />
      <div className={styles.filters} role="search" aria-label="Filters">
        <SearchField label="Search users" placeholder="Name or email" value={search.q ?? ''} change={changeText} />
        <Choice label="Role" any="Any role" values={ROLES} value={filter.role} change={(role) => change({ role })} />
        <Choice
          label="Identity check" any="Any identity check" values={KYC_STATUSES} value={filter.kycStatus}
          change={(kyc) => change({ kyc })}
        />
        <Choice
          label="State" any="Active or not" values={['true', 'false']} value={filter.isActive === undefined ? undefined : String(filter.isActive)}
          names={{ true: 'Active', false: 'Inactive' }} change={(active) => change({ active })}
        />
        {filtered && <Button size="compact-sm" variant="subtle" onClick={clear}>Clear</Button>}
        <span className={styles.count} role="status">
          {pages.total && `${pages.total.isExact ? '' : 'more than '}${formatCount(pages.total.count)} users`}
        </span>
      </div>
      <Panel label="List of users">
        <DataTable
          {...pages}
          label="Users"
          columns={columnsOf(zone)}
          keyOf={(row) => row.id}
          rowCount={pages.total?.isExact ? pages.total.count : undefined}
          again={() => void pages.again()}
          more={() => void pages.more()}
          open={(row) => change({ user: row.id })}
          current={user}
          nameOf={(row) => row.name}
          toneOf={(row) => (row.isActive ? undefined : 'quiet')}
          empty={
            <EmptyNote title={filtered ? 'No users match' : 'No users yet'}>
              {filtered && <Button variant="default" size="xs" onClick={clear}>Remove the filters</Button>}
            </EmptyNote>
          }
        />
      </Panel>
      <CreateUserModal
        opened={creating}
        close={() => change({ new: undefined })}
        created={() => void pages.again()}
        show={(id) => change({ new: undefined, user: id })}
      />
      <UserDrawer userId={user} close={() => change({ user: undefined })} changed={() => void pages.again()} />
    </Page>
  )
}

interface ChoiceProps<Value extends string> {
  label: string
  any: string
  values: readonly Value[]
  value: Value | undefined
  names?: Record<Value, string>
  change: (value: Value | undefined) => void
}

function Choice<Value extends string>({ label, any, values, value, names, change }: ChoiceProps<Value>) {
  return (
    <Select
      aria-label={label}
      placeholder={any}
      w={184}
      clearable
      clearButtonProps={{ 'aria-label': `Any ${label.toLowerCase()}` }}
      data={values.map((one) => ({ value: one, label: names?.[one] ?? words(one) }))}
      value={value ?? null}
      onChange={(chosen) => change((chosen) ?? undefined)}
    />
  )
}

function columnsOf(zone: Zone): Column<UserEntry>[] {
  return [
    {
      id: 'name', header: 'Name', isRowHeader: true, card: 'title',
      cell: ({ id, name }) => (
        <route.Link search={(old: UsersSearch) => ({ ...old, user: id })} resetScroll={false} preload={false}>{name}</route.Link>
      ),
    },
    { id: 'email', header: 'Email', card: 'whole', width: 240, cell: ({ email }) => email },
    { id: 'role', header: 'Role', card: 'start', width: 140, cell: ({ role }) => words(role) },
    { id: 'active', header: 'State', card: 'mark', width: 120, cell: ({ isActive }) => <ActiveMark isActive={isActive} /> },
    { id: 'kyc', header: 'Identity check', card: 'end', width: 150, cell: ({ kycStatus }) => <KycMark status={kycStatus} /> },
    {
      id: 'created', header: `Created ${zone === 'utc' ? 'UTC' : 'local'}`, card: 'none', from: 'wide', width: 220,
      cell: ({ createdAt }) => formatInstant(createdAt, zone),
    },
  ]
}
