import { Button, Skeleton } from '@mantine/core'
import { useEffect, useState } from 'react'
import { session } from '../client'
import { problemOfErrors, type Problem } from '../problem'
import { ProblemNote } from '../ui/Notes'
import { TicketLink } from '../ui/TicketLink'
import type { UserDetail } from './officeDocuments'
import styles from './Office.module.css'

const ANSWER_MS_MAX = 30_000 // five megabytes over a slow line
// What is shown is said by us and not by the file: nothing else than these is ever given to the browser to draw.
const PICTURES: ReadonlySet<string> = new Set(['image/png', 'image/jpeg'])
const PDF = 'application/pdf'

type Document = UserDetail['kycDocuments'][number]
type Loaded = { address: string; ticketId: string | undefined } | { problem: Problem }

/** Show a document in the page. Each look is recorded with a ticket, so it is asked for by a press and not by hovering. */
export function KycPreview({ document }: { document: Document }) {
  const [tries, setTries] = useState(0)
  const loaded = useDocument(document, tries)
  if (!loaded) return <Skeleton height={200} aria-label="Loading the document" />
  if ('problem' in loaded) return <ProblemNote problem={loaded.problem} again={() => setTries(tries + 1)} />
  const name = `${document.kind} of ${document.fileName}`
  return (
    <div className={styles.preview} style={{ gridColumn: '1 / -1' }}>
      {document.contentType === PDF ? (
        <iframe className={styles.frame} src={loaded.address} title={document.fileName} />
      ) : (
        <img className={styles.picture} src={loaded.address} alt={`Document ${name}`} />
      )}
      <div className={styles.pair}>
        <span className={styles.quiet}>Read now; recorded as {loaded.ticketId && <TicketLink id={loaded.ticketId} />}</span>
        <Button component="a" href={loaded.address} download={document.fileName} size="compact-sm" variant="default">
          Save
        </Button>
      </div>
    </div>
  )
}

function useDocument({ id, contentType }: Document, tries: number): Loaded | undefined {
  const [loaded, setLoaded] = useState<Loaded>()
  useEffect(() => {
    const abort = new AbortController()
    let address: string | undefined
    const load = async () => {
      const answer = await read(id, contentType, AbortSignal.any([abort.signal, AbortSignal.timeout(ANSWER_MS_MAX)]))
      if (abort.signal.aborted) return
      if ('problem' in answer) setLoaded(answer)
      else {
        address = URL.createObjectURL(answer.blob)
        setLoaded({ address, ticketId: answer.ticketId })
      }
    }
    void load()
    return () => {
      abort.abort()
      setLoaded(undefined)
      if (address) URL.revokeObjectURL(address)
    }
  }, [id, contentType, tries])
  return loaded
}

async function read(id: string, contentType: string, signal: AbortSignal): Promise<{ blob: Blob; ticketId: string | undefined } | { problem: Problem }> {
  try {
    const response = await fetch(`/kyc/${id}`, { credentials: 'same-origin', signal })
    if (response.status === 401) void session.denied()
    if (!response.ok) {
      const body = (await response.json()) as { errors: Parameters<typeof problemOfErrors>[0] }
      return { problem: problemOfErrors(body.errors) }
    }
    if (contentType !== PDF && !PICTURES.has(contentType)) {
      return { problem: { code: 'UNKNOWN_TYPE', message: `${contentType} cannot be shown here.`, ticketId: undefined, retryable: false } }
    }
    const blob = new Blob([await response.arrayBuffer()], { type: contentType })
    return { blob, ticketId: response.headers.get('X-Ticket-ID') ?? undefined }
  } catch {
    return { problem: { code: 'SERVER_AWAY', message: 'The document could not be read.', ticketId: undefined, retryable: true } }
  }
}
