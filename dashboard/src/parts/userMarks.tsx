import { words } from '../format'
import { StateMark, type Tone } from '../ui/Status'
import type { UserEntry } from './officeDocuments'

const KYC_TONES: Record<UserEntry['kycStatus'], Tone> = { NONE: 'quiet', PENDING: 'warn', APPROVED: 'ok', REJECTED: 'fail' }

/** Show how far an identity check has come. */
export function KycMark({ status }: { status: UserEntry['kycStatus'] }) {
  return <StateMark tone={KYC_TONES[status]}>{words(status)}</StateMark>
}

/** Show whether somebody may act. */
export function ActiveMark({ isActive }: { isActive: boolean }) {
  return <StateMark tone={isActive ? 'ok' : 'quiet'}>{isActive ? 'Active' : 'Inactive'}</StateMark>
}
