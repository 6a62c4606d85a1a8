import { SegmentedControl } from '@mantine/core'
import { getRouteApi } from '@tanstack/react-router'
import { useCallback } from 'react'
import { formatCount, formatInstant, words, type Zone } from '../format'
import { graphql, type ResultOf } from '../graphql'
import { KYC_STATUSES, readKycSearch, type KycSearch } from '../officePaths'
import { UserDrawer } from '../parts/UserDrawer'
import { ActiveMark, KycMark } from '../parts/userMarks'
import { usePages, type List } from '../parts/usePages'
import { useZone } from '../preferences'
import { DataTable, type Column } from '../ui/DataTable'
import { EmptyNote, IgnoredNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import { SearchField } from '../ui/SearchField'
import styles from '../parts/Office.module.css'

const route = getRouteApi('/desk/people/kyc')

const KycQueue = graphql(`
  query KycQueue($filter: UserFilter, $first: Int!, $after: String) {
    users(filter: $filter, first: $first, after: $after) {
      nodes { id name email isActive kycStatus kycReason createdAt kycDocuments { id kind uploadedAt } }
      pageInfo { hasNextPage endCursor }
    }
  }
`)

const KycTotal = graphql(`
  query KycTotal($filter: UserFilter) {
    users(filter: $filter, first: 1) { totalCount totalCountIsExact }
  }
`)

type Checked = ResultOf<typeof KycQueue>['users']['nodes'][number]

const CHECKS = {
  query: KycQueue,
  read: (data) => data.users,
  total: { query: KycTotal, read: (data) => data.users },
} satisfies List<Checked, never, ResultOf<typeof KycQueue>, ResultOf<typeof KycTotal>>

/** List the traders whose identity waits for a decision, and decide over their documents. */
export function KycPage() {
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const { filter, user, ignored } = readKycSearch(search)
  const pages = usePages(CHECKS, { filter })
  const zone = useZone()
  const change = useCallback(
    (next: KycSearch, replace = false) => void navigate({ search: (old: KycSearch) => ({ ...old, ...next }), replace, resetScroll: false }),
    [navigate],
  )
  const changeText = useCallback((q: string, isStep: boolean) => change({ q: q || undefined }, !isStep), [change])
  return (
    <Page title="Identity checks" section="People">
      <IgnoredNote ignored={ignored} />
      <div className={styles.filters} role="search" aria-label="Filters">
        <SegmentedControl
          aria-label="Status" data={KYC_STATUSES.map((status) => ({ value: status, label: words(status) }))} value={filter.kycStatus}
          onChange={(status) => change({ status: status === 'PENDING' ? undefined : status })}
        />
        <SearchField label="Search traders" placeholder="Name or email" value={search.q ?? ''} change={changeText} />
        <span className={styles.count} role="status">{pages.total && `${formatCount(pages.total.count)} traders`}</span>
      </div>
      <Panel label="List of identity checks">
        <DataTable
          {...pages}
          label="Identity checks"
          columns={columnsOf(zone)}
          keyOf={(row) => row.id}
          again={() => void pages.again()}
          more={() => void pages.more()}
          open={(row) => change({ user: row.id })}
          current={user}
          nameOf={(row) => row.name}
          empty={<EmptyNote title={filter.kycStatus === 'PENDING' ? 'Nobody waits for a decision' : 'Nobody'} />}
        />
      </Panel>
      <UserDrawer userId={user} close={() => change({ user: undefined })} changed={() => void pages.again()} order="identity" />
    </Page>
  )
}

function columnsOf(zone: Zone): Column<Checked>[] {
  return [
    {
      id: 'name', header: 'Name', isRowHeader: true, card: 'title',
      cell: ({ id, name }) => (
        <route.Link search={(old: KycSearch) => ({ ...old, user: id })} resetScroll={false} preload={false}>{name}</route.Link>
      ),
    },
    { id: 'email', header: 'Email', card: 'whole', cell: ({ email }) => email },
    { id: 'kyc', header: 'Check', card: 'mark', width: 130, cell: ({ kycStatus }) => <KycMark status={kycStatus} /> },
    { id: 'active', header: 'State', card: 'none', from: 'wide', width: 120, cell: ({ isActive }) => <ActiveMark isActive={isActive} /> },
    {
      id: 'documents', header: 'Documents', card: 'line',
      cell: ({ kycDocuments }) => kycDocuments.map(({ kind }) => words(kind)).join(', ') || 'none',
    },
    {
      id: 'uploaded', header: `Last upload ${zone === 'utc' ? 'UTC' : 'local'}`, card: 'line', width: 230,
      cell: ({ kycDocuments: [newest] }) => newest && formatInstant(newest.uploadedAt, zone),
    },
  ]
}
