import { Button, Skeleton } from '@mantine/core'
import { useEffect, type ReactNode } from 'react'
import { useAnswer } from '../client'
import { formatAge, formatCount } from '../format'
import { graphql, type ResultOf } from '../graphql'
import { useKeys } from '../keyboard'
import { Icon } from '../ui/icons'
import { ProblemNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import styles from './OperationsPage.module.css'

const RENEW_MS = 5_000
const SEAL_LAG_S_MAX = 10 // the sealer takes about one
const STREAM_LAG_S_MAX = 5 // a heartbeat comes each second

const Operations = graphql(`
  query Operations {
    operations {
      schemaState isRedisConnected sealingAlarm sealLagSeconds sealedLeaves sockets deskQueue
      streams { certificateType lagSeconds behindEvents }
      pools { name openConnections usedConnections maxConnections }
    }
  }
`)

type State = ResultOf<typeof Operations>['operations']

/** Show at a glance how the process that answers is, and the servers behind it. */
export function OperationsPage() {
  const { data, problem, fetching, again } = useAnswer(Operations, {})
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') again()
    }, RENEW_MS)
    return () => clearInterval(timer)
  }, [again])
  useKeys('Operations', [{ keys: 'r', does: 'Read again', run: again }])
  const state = data?.operations
  return (
    <Page
      title="Operations"
      actions={
        <Button size="xs" variant="default" loading={fetching && !state} onClick={again}>
          Refresh
        </Button>
      }
    >
      {problem && <ProblemNote problem={problem} again={again} />}
      {!state && !problem && <Skeleton height={320} aria-label="Loading the state of operations" />}
      {state && (
        <div data-old={problem !== undefined} className={styles.all}>
          <div className={styles.cards}>
            {checksOf(state).map((check) => (
              <Card key={check.name} {...check} />
            ))}
          </div>
          <div className={styles.grid}>
            <Streams streams={state.streams} />
            <Pools pools={state.pools} />
          </div>
          <p className={styles.note}>
            This is the process that answered you; others may run beside it. Renewed every {RENEW_MS / 1000} seconds.
          </p>
        </div>
      )}
    </Page>
  )
}

interface Check {
  name: string
  value: string
  /** What it means, or what to do. */
  hint: string
  good: boolean
}

function checksOf(state: State): Check[] {
  const lag = state.sealLagSeconds
  const streamLag = Math.max(0, ...state.streams.map(({ lagSeconds }) => lagSeconds))
  const late = lag != null && lag > SEAL_LAG_S_MAX
  return [
    { name: 'Database', value: state.schemaState === 'current' ? 'Ready' : words(state.schemaState), good: true, hint: 'It answers, and its schema is known here' },
    { name: 'Redis', value: state.isRedisConnected ? 'Connected' : 'Away', good: state.isRedisConnected, hint: state.isRedisConnected ? 'Notices of other processes arrive' : 'Trading goes on; watchers learn once a second' },
    { name: 'Sealing', value: state.sealingAlarm ? 'Stopped' : late ? 'Late' : lag == null ? 'Not begun' : 'Running', good: !state.sealingAlarm && !late && lag != null, hint: state.sealingAlarm ?? (late ? 'Look whether a sealer runs' : `${formatCount(state.sealedLeaves)} leaves are signed`) },
    { name: 'Oldest unsealed', value: lag == null ? '–' : formatAge(lag * 1000), good: !late, hint: `More than ${SEAL_LAG_S_MAX} seconds is late` },
    { name: 'Books shown', value: formatAge(streamLag * 1000), good: streamLag <= STREAM_LAG_S_MAX, hint: 'Age of the oldest picture that watchers see' },
    { name: 'Web sockets', value: formatCount(state.sockets), good: true, hint: 'Open at this process' },
    { name: 'Desk queue', value: formatCount(state.deskQueue), good: true, hint: 'Orders and cancels that wait' },
  ]
}

function words(state: string): string {
  return state.charAt(0).toUpperCase() + state.slice(1)
}

function Card({ name, value, hint, good }: Check) {
  return (
    <div className={styles.card} data-good={good} role="group" aria-label={name}>
      <span className={styles.name}>{name}</span>
      <span className={styles.value}>
        {!good && <Icon name="warning" size={18} />}
        {value}
      </span>
      <span className={styles.hint}>{hint}</span>
    </div>
  )
}

function Streams({ streams }: { streams: State['streams'] }) {
  return (
    <Table title="Books" heads={['Certificate', 'Age', 'Events behind']}>
      {streams.map(({ certificateType, lagSeconds, behindEvents }) => (
        <tr key={certificateType}>
          <th scope="row">{certificateType}</th>
          <td>{formatAge(lagSeconds * 1000)}</td>
          <td>{formatCount(behindEvents)}</td>
        </tr>
      ))}
    </Table>
  )
}

function Pools({ pools }: { pools: State['pools'] }) {
  return (
    <Table title="Connections to the database" heads={['For', 'In use', 'Open', 'At most']}>
      {pools.map(({ name, usedConnections, openConnections, maxConnections }) => (
        <tr key={name} data-full={usedConnections >= maxConnections}>
          <th scope="row">{name}</th>
          <td>{formatCount(usedConnections)}</td>
          <td>{formatCount(openConnections)}</td>
          <td>{formatCount(maxConnections)}</td>
        </tr>
      ))}
    </Table>
  )
}

function Table({ title, heads, children }: { title: string; heads: readonly string[]; children: ReactNode }) {
  return (
    <Panel className={styles.panel} label={title}>
      <h2 className={styles.title}>{title}</h2>
      <table className={styles.table}>
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">{head}</th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </Panel>
  )
}
