import { SegmentedControl } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { getRouteApi } from '@tanstack/react-router'
import { useAnswer } from '../client'
import { formatAge, formatCount } from '../format'
import { graphql } from '../graphql'
import { useNow } from '../live/clock'
import type { BookView } from '../live/book'
import { BookSummary } from '../parts/BookSummary'
import { Ladder } from '../parts/Ladder'
import { useBook } from '../parts/useBook'
import { BOOK_ROWS, CERTIFICATE_TYPES, readBookSearch } from '../paths'
import { IgnoredNote, ProblemNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import { StateMark, type Tone } from '../ui/Status'
import styles from './MarketOrdersPage.module.css'

const Certificates = graphql(`
  query Certificates {
    certificates { certificateType name tickSize lotSize referencePrice isHalted }
  }
`)

const route = getRouteApi('/desk/market-orders')

/** Watch the live order book of one certificate. */
export function MarketOrdersPage() {
  const { certificateType, rows: wantedRows, ignored } = readBookSearch(route.useSearch())
  const narrow = useMediaQuery('(max-width: 767px)', undefined, { getInitialValueInEffect: false })
  const rows = wantedRows ?? (narrow ? 10 : 20)
  const navigate = route.useNavigate()
  const view = useBook(certificateType)
  const { data, problem, again } = useAnswer(Certificates, {})
  const shown = view.book !== null && view.phase !== 'refused' // a passing fault must not push the book about
  const certificate = data?.certificates.find((known) => known.certificateType === certificateType)

  return (
    <Page
      title={`${certificateType} order book`}
      section="Market orders"
      actions={
        <>
          <BookAge view={view} />
          <SegmentedControl
            aria-label="Levels on each side"
            size="xs"
            data={BOOK_ROWS.map((count) => ({ value: String(count), label: `${count} levels` }))}
            value={String(rows)}
            onChange={(value) => void navigate({ search: (old) => ({ ...old, rows: value }), replace: true })}
          />
          <SegmentedControl
            aria-label="Certificate"
            data={[...CERTIFICATE_TYPES]}
            value={certificateType}
            onChange={(value) => void navigate({ search: (old) => ({ ...old, cert: value }) })}
          />
        </>
      }
    >
      <IgnoredNote ignored={ignored} />
      <div className={styles.notes}>
        {certificate?.isHalted && <StateMark tone="warn">Trading in {certificateType} is halted</StateMark>}
        {view.problem && !shown && <ProblemNote problem={view.problem} />}
        {problem && !data && <ProblemNote problem={problem} again={again} />}
      </div>
      <div className={styles.columns}>
        <Panel className={styles.ladder}>
          <Ladder key={certificateType} view={view} rows={rows} label={`${certificateType} order book`} />
        </Panel>
        <BookSummary view={view} certificate={certificate} />
      </div>
    </Page>
  )
}

const MARKS: Record<BookView['phase'], { tone: Tone; word: string }> = {
  loading: { tone: 'quiet', word: 'Loading' },
  live: { tone: 'ok', word: 'Live' },
  stale: { tone: 'warn', word: 'Stale' },
  down: { tone: 'warn', word: 'Interrupted' },
  refused: { tone: 'fail', word: 'Refused' },
}

/** Say how old the book on the screen is: every live number shows its age. */
function BookAge({ view: { phase, book, receivedAt } }: { view: BookView }) {
  const now = useNow()
  const { tone, word } = MARKS[phase]
  return (
    <span role="status" aria-label={`Book: ${word}`}>
      <StateMark tone={tone}>
        <span aria-hidden="true">
          {word}
          {book && ` · seq ${formatCount(book.sequence)}`}
          {receivedAt !== null && ` · ${formatAge(now - receivedAt)}`}
        </span>
      </StateMark>
    </span>
  )
}
