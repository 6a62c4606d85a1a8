import { Button, Drawer, Skeleton } from '@mantine/core'
import { useState } from 'react'
import { useAnswer } from '../client'
import { formatAge, formatAmount, formatEur, formatInstant, words } from '../format'
import { useNow } from '../live/clock'
import { useZone } from '../preferences'
import { Fact, Facts, Section } from '../ui/Facts'
import { EmptyNote, ProblemNote } from '../ui/Notes'
import { StateMark } from '../ui/Status'
import { TicketLink } from '../ui/TicketLink'
import { KycReview } from './KycReview'
import { RevokeSessions, UserQuery, type SessionEntry, type UserDetail } from './officeDocuments'
import { ActiveMark, KycMark } from './userMarks'
import { UserRights } from './UserRights'
import { usePerson } from './usePerson'
import { useSubmit } from './useSubmit'
import styles from './Office.module.css'

interface Props {
  userId: string | undefined
  close: () => void
  /** Told after each action, so that the list behind is read again. */
  changed: () => void
  /** What comes first: who somebody is, or the documents that wait. */
  order?: 'profile' | 'identity'
}

/** Show one user over the list: rights, identity check, sessions, deposits, balances. */
export function UserDrawer({ userId, close, changed, order = 'profile' }: Props) {
  // The last user stays while the drawer slides away.
  const [shown, setShown] = useState(userId)
  if (userId !== undefined && userId !== shown) setShown(userId)
  return (
    <Drawer.Root opened={userId !== undefined} onClose={close} position="right" size={760}>
      <Drawer.Overlay backgroundOpacity={0.28} />
      <Drawer.Content>
        {shown !== undefined && <UserContent key={shown} userId={shown} changed={changed} order={order} />}
      </Drawer.Content>
    </Drawer.Root>
  )
}

function UserContent({ userId, changed, order }: { userId: string; changed: () => void; order: 'profile' | 'identity' }) {
  const { data, problem, fetching, again } = useAnswer(UserQuery, { id: userId })
  const user = data?.user
  const renew = () => {
    again()
    changed()
  }
  const parts = {
    profile: user && <UserRights key="profile" user={user} sessions={data.sessions.length} changed={renew} />,
    identity: user && user.role === 'TRADER' && <KycReview key="identity" user={user} changed={renew} />,
  }
  return (
    <>
      {/* Inside a dialog this is no banner of the page. */}
      <Drawer.Header role="presentation">
        <Drawer.Title className={styles.drawerTitle}>
          {user?.name ?? 'User'} {user && <ActiveMark isActive={user.isActive} />} {user && <KycMark status={user.kycStatus} />}
        </Drawer.Title>
        <Drawer.CloseButton aria-label="Close the user" />
      </Drawer.Header>
      <Drawer.Body>
        {problem && <ProblemNote problem={problem} again={again} />}
        {!user && !problem && !fetching && <EmptyNote title="There is no such user">The address may be from another market.</EmptyNote>}
        {!user && fetching && <Skeleton height={160} />}
        {user && (
          <div className={styles.stack}>
            <UserFacts user={user} />
            {order === 'profile' ? [parts.profile, parts.identity] : [parts.identity, parts.profile]}
            {user.role !== 'MARKET_MAKER' && <Sessions user={user} sessions={data.sessions} changed={renew} />}
            <Deposits user={user} />
          </div>
        )}
      </Drawer.Body>
    </>
  )
}

function UserFacts({ user }: { user: UserDetail }) {
  const zone = useZone()
  const held = user.balances.filter(({ total }) => /[1-9]/.test(total))
  return (
    <Facts>
      <Fact term="Email">{user.email}</Fact>
      <Fact term="Role">{words(user.role)}</Fact>
      <Fact term="Created">{formatInstant(user.createdAt, zone)}</Fact>
      <Fact term="Id"><code>{user.id}</code></Fact>
      <Fact term="Open orders">{user.role === 'TRADER' || user.role === 'MARKET_MAKER' ? user.orders.totalCount : undefined}</Fact>
      <Fact term="Balances">
        {held.length === 0
          ? 'none'
          : held.map(({ asset, available, locked }) => (
              <div key={asset}>
                {formatAmount(available, asset)} {asset} available, {formatAmount(locked, asset)} locked
              </div>
            ))}
      </Fact>
    </Facts>
  )
}

function Sessions({ user, sessions, changed }: { user: UserDetail; sessions: readonly SessionEntry[]; changed: () => void }) {
  const zone = useZone()
  const now = useNow()
  const me = usePerson()
  const { submit, busy } = useSubmit({
    document: RevokeSessions,
    field: 'revokeSessions',
    keyed: false,
    done: ({ sessionsRevoked }) => ({
      title: sessionsRevoked === 1 ? 'Session ended' : 'Sessions ended',
      detail: `${sessionsRevoked ?? 0} of ${user.name}`,
    }),
    failed: 'Sessions not ended',
  })
  const revoke = async (sessionId?: string) => {
    const outcome = await submit(() => ({ userId: user.id, sessionId: sessionId ?? null }))
    if (outcome?.kind === 'done') changed()
  }
  return (
    <Section
      title={`Sessions (${sessions.length})`}
      actions={
        sessions.length > 0 && (
          <Button size="compact-sm" variant="default" className={styles.danger ?? ''} disabled={busy} onClick={() => void revoke()}>
            {me?.id === user.id ? 'End all, this one too' : 'Sign out everywhere'}
          </Button>
        )
      }
    >
      {sessions.length === 0 ? (
        <p className={styles.note}>Not signed in anywhere.</p>
      ) : (
        <ul className={styles.list}>
          {sessions.map(({ id, createdAt, lastSeenAt, ipAddress, userAgent, isCurrent }) => (
            <li key={id} className={styles.item}>
              <span className={styles.itemMain}>
                {ipAddress ?? 'unknown address'} {isCurrent && <StateMark tone="ok">This one</StateMark>}
              </span>
              <Button
                size="compact-xs" variant="default" disabled={busy} aria-label={`End the session from ${ipAddress ?? 'unknown'}, opened ${formatInstant(createdAt, zone)}`}
                onClick={() => void revoke(id)}
              >
                End
              </Button>
              <span className={styles.quiet}>
                opened {formatInstant(createdAt, zone)}, seen {formatAge(now - Date.parse(lastSeenAt))} ago
                {userAgent && <> · {userAgent}</>}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Section>
  )
}

function Deposits({ user }: { user: UserDetail }) {
  const zone = useZone()
  const { nodes } = user.deposits
  if (nodes.length === 0) return null
  return (
    <Section title="Newest deposits">
      <ul className={styles.list}>
        {nodes.map(({ id, amount, reference, status, createdAt, ticketId }) => (
          <li key={id} className={styles.item}>
            <span className={styles.itemMain}>{formatEur(amount)} · {reference}</span>
            <StateMark tone={status === 'PENDING' ? 'warn' : status === 'APPROVED' ? 'ok' : 'fail'}>{words(status)}</StateMark>
            <span className={styles.quiet}>{formatInstant(createdAt, zone)} · <TicketLink id={ticketId} /></span>
          </li>
        ))}
      </ul>
    </Section>
  )
}
