import { Button } from '@mantine/core'
import { useState } from 'react'
import { formatCount, formatInstant, words } from '../format'
import { useZone } from '../preferences'
import { ConfirmModal } from '../ui/Confirm'
import { Section } from '../ui/Facts'
import { FormFailure } from '../ui/FormFailure'
import { TicketLink } from '../ui/TicketLink'
import { KycPreview } from './KycPreview'
import { ApproveKyc, RejectKyc, type UserDetail } from './officeDocuments'
import { ReasonModal } from './ReasonModal'
import { KycMark } from './userMarks'
import { useSubmit } from './useSubmit'
import styles from './Office.module.css'

/** Read what somebody has uploaded and decide whether they may trade. */
export function KycReview({ user, changed }: { user: UserDetail; changed: () => void }) {
  const zone = useZone()
  const [shown, setShown] = useState<string>()
  const [asked, setAsked] = useState<'approve' | 'reject'>()
  const approve = useSubmit({
    document: ApproveKyc, field: 'approveKyc', keyed: false, failed: 'Not decided',
    done: () => ({ title: 'Identity approved', detail: `${user.name} may trade.` }),
  })
  const reject = useSubmit({
    document: RejectKyc, field: 'rejectKyc', keyed: false, failed: 'Not decided',
    done: () => ({ title: 'Identity rejected', detail: `${user.name} reads why; another upload opens the check again.` }),
  })
  const waits = user.kycStatus === 'NONE' || user.kycStatus === 'PENDING'
  const finish = (outcome: { kind: string } | undefined) => {
    if (outcome?.kind !== 'done') return
    setAsked(undefined)
    changed()
  }
  return (
    <Section
      title={`Identity check: ${formatCount(user.kycDocuments.length)} document${user.kycDocuments.length === 1 ? '' : 's'}`}
      actions={<KycMark status={user.kycStatus} />}
    >
      {user.kycReason && <p className={styles.note}>Rejected: {user.kycReason}</p>}
      {user.kycDocuments.length === 0 ? (
        <p className={styles.note}>Nothing was uploaded. Papers seen in person can be approved all the same.</p>
      ) : (
        <ul className={styles.list}>
          {user.kycDocuments.map((document) => (
            <li key={document.id} className={styles.item}>
              <span className={styles.itemMain}>
                {words(document.kind)}: {document.fileName}
              </span>
              <Button
                size="compact-sm" variant="default" aria-expanded={shown === document.id}
                onClick={() => setShown(shown === document.id ? undefined : document.id)}
              >
                {shown === document.id ? 'Hide' : 'View'}
              </Button>
              <span className={styles.quiet}>
                {formatCount(Math.ceil(document.bytes / 1024))} KiB · {formatInstant(document.uploadedAt, zone)} · <TicketLink id={document.ticketId} /> · SHA-256{' '}
                <code title={document.sha256}>{document.sha256.slice(0, 12)}…</code>
              </span>
              {shown === document.id && <KycPreview document={document} />}
            </li>
          ))}
        </ul>
      )}
      {waits && (
        <div className={styles.buttons}>
          <Button variant="default" className={styles.danger ?? ''} onClick={() => setAsked('reject')}>Reject…</Button>
          <Button onClick={() => setAsked('approve')}>Approve…</Button>
        </div>
      )}
      <ConfirmModal
        opened={asked === 'approve'} close={() => setAsked(undefined)} title="Approve the identity check" confirm="Approve" keep="Not yet"
        busy={approve.busy} act={() => void approve.submit(() => ({ userId: user.id })).then(finish)}
      >
        <FormFailure failure={approve.failure} />
        <p>{user.name} may place orders from now on. An approval is not taken back; deactivate the user instead.</p>
      </ConfirmModal>
      <ReasonModal
        opened={asked === 'reject'} close={() => setAsked(undefined)} title="Reject the identity check" confirm="Reject"
        busy={reject.busy} failure={reject.failure} act={(reason) => void reject.submit(() => ({ userId: user.id, reason })).then(finish)}
      >
        <p>{user.name} may not trade. Another upload opens the check again.</p>
      </ReasonModal>
    </Section>
  )
}
