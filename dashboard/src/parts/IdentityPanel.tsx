import { Button, FileInput, Select } from '@mantine/core'
import { useState, type SubmitEvent } from 'react'
import { formatCount, formatInstant, words } from '../format'
import { useZone } from '../preferences'
import { FormFailure } from '../ui/FormFailure'
import { Panel } from '../ui/Page'
import { StateMark, type Tone } from '../ui/Status'
import { TicketLink } from '../ui/TicketLink'
import { UploadKycDocument, type Account } from './accountDocuments'
import styles from './Form.module.css'
import { useSubmit } from './useSubmit'

const KINDS = ['PASSPORT', 'ID_CARD', 'RESIDENCE_PERMIT', 'DRIVING_LICENCE', 'PROOF_OF_ADDRESS', 'COMPANY_REGISTER', 'OTHER'] as const
const CONTENT_TYPES = ['application/pdf', 'image/png', 'image/jpeg'] as const
const BYTES_MAX = 5_242_880
const TONES: Record<Account['kycStatus'], Tone> = { NONE: 'quiet', PENDING: 'warn', APPROVED: 'ok', REJECTED: 'fail' }
const WORDS: Record<Account['kycStatus'], string> = {
  NONE: 'No documents yet. You can trade once the desk has seen some.',
  PENDING: 'The desk looks at your documents.',
  APPROVED: 'You may trade.',
  REJECTED: 'Refused. Upload another document to open the check again.',
}

/** Say how far one's identity check is, and take documents for it. */
export function IdentityPanel({ account, again }: { account: Account; again: () => void }) {
  const zone = useZone()
  const [kind, setKind] = useState<string | null>(null)
  const [file, setFile] = useState<File | null>(null)
  const [touched, setTouched] = useState(false)
  const { submit, ...attempt } = useSubmit({
    document: UploadKycDocument,
    field: 'uploadKycDocument',
    keyed: false,
    failed: 'Document not uploaded',
    done: ({ document }) => ({ title: 'Document uploaded', detail: document?.fileName }),
  })
  const errors = { kind: kind === null ? 'Choose what it is.' : undefined, file: fileError(file) }
  const send = async (event: SubmitEvent) => {
    event.preventDefault()
    setTouched(true)
    if (errors.kind || errors.file || kind === null || file === null) return
    const contentBase64 = await base64Of(file)
    const outcome = await submit(() => ({ input: { kind, fileName: file.name, contentType: file.type, contentBase64 } }))
    if (outcome?.kind !== 'done') return
    setFile(null)
    setTouched(false)
    again()
  }
  return (
    <>
      <Panel label="Identity check" className={styles.narrow}>
        <p>
          <StateMark tone={TONES[account.kycStatus]}>{words(account.kycStatus)}</StateMark> {WORDS[account.kycStatus]}
        </p>
        {account.kycReason && <p className={styles.review}>{account.kycReason}</p>}
        {account.kycStatus !== 'APPROVED' && (
          <form className={styles.form} noValidate onSubmit={(event) => void send(event)} aria-label="Upload a document">
            <FormFailure failure={attempt.failure} />
            <Select
              label="Document"
              placeholder="Choose one"
              data={KINDS.map((name) => ({ value: name, label: words(name) }))}
              value={kind}
              onChange={setKind}
              error={attempt.errorOf('kind') ?? (touched ? errors.kind : undefined)}
            />
            <FileInput
              label="File"
              description="PDF, PNG or JPEG, at most 5 MB"
              placeholder="Choose a file"
              accept={CONTENT_TYPES.join(',')}
              value={file}
              onChange={setFile}
              error={attempt.errorOf('contentBase64') ?? attempt.errorOf('contentType') ?? (touched ? errors.file : undefined)}
            />
            <Button type="submit" loading={attempt.busy}>
              Upload
            </Button>
          </form>
        )}
      </Panel>
      {account.kycDocuments.length > 0 && (
        <Panel label="Uploaded documents" className={styles.narrow}>
          <ul aria-label="Uploaded documents">
            {account.kycDocuments.map(({ id, kind: what, fileName, bytes, uploadedAt, ticketId }) => (
              <li key={id}>
                {words(what)}: {fileName}, {formatCount(Math.ceil(bytes / 1024))} kB, {formatInstant(uploadedAt, zone)} · <TicketLink id={ticketId} />
              </li>
            ))}
          </ul>
        </Panel>
      )}
    </>
  )
}

function fileError(file: File | null): string | undefined {
  if (!file) return 'Choose a file.'
  if (!(CONTENT_TYPES as readonly string[]).includes(file.type)) return 'Choose a PDF, PNG or JPEG.'
  return file.size > BYTES_MAX ? 'The file is larger than 5 MB.' : undefined
}

async function base64Of(file: File): Promise<string> {
  const address = await new Promise<string>((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(reader.result as string)
    reader.onerror = () => reject(new Error('The file cannot be read.'))
    reader.readAsDataURL(file)
  })
  return address.slice(address.indexOf(',') + 1)
}
