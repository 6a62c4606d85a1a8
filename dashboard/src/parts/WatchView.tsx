import { Button } from '@mantine/core'
import { useEffect, useMemo, useState } from 'react'
import { product } from '../decimal'
import type { BookState } from '../marketPaths'
import { CERTIFICATE_TYPES, type CertificateType } from '../paths'
import { Page, Panel } from '../ui/Page'
import { BookBadge } from './BookBadge'
import { Ladder } from './Ladder'
import type { OrderEntry } from './marketDocuments'
import { TradesTape } from './TradesTape'
import { useMarket } from './useMarket'
import styles from './WatchView.module.css'

const NOBODY: ReadonlyMap<string, readonly OrderEntry[]> = new Map()

/** Show both books side by side with their trades, and nothing else; the screen stays awake. */
export function WatchView({ state, leave }: { state: BookState; leave: () => void }) {
  useWakeLock()
  return (
    <Page
      title="Both order books"
      section="Market orders"
      actions={
        <Button size="xs" variant="default" onClick={leave}>
          Leave the watcher
        </Button>
      }
    >
      <div className={styles.books}>
        {CERTIFICATE_TYPES.map((certificateType) => (
          <Watched key={certificateType} certificateType={certificateType} rows={state.rows ?? 10} group={state.group} />
        ))}
      </div>
    </Page>
  )
}

function Watched({ certificateType, rows, group }: { certificateType: CertificateType; rows: number; group: string | undefined }) {
  const { feed, trades, certificate } = useMarket(certificateType)
  const label = `${certificateType} order book`
  const step = useMemo(() => group ?? product(certificate?.tickSize ?? '0.01', '1'), [group, certificate])
  return (
    <Panel className={styles.book}>
      <div className={styles.head}>
        <h2 className={styles.title}>{certificateType}</h2>
        <BookBadge feed={feed} isPaused={false} name={label} />
      </div>
      <Ladder feed={feed} rows={rows} step={step} cumulative mine={NOBODY} trades={trades.rows} label={label} />
      <div className={styles.tape}>
        <TradesTape view={trades} label={`Recent trades in ${certificateType}`} shown={15} />
      </div>
    </Panel>
  )
}

// A watched screen must not go dark; where the browser cannot promise it, it does as it does.
function useWakeLock(): void {
  const [again, setAgain] = useState(0)
  useEffect(() => {
    let lock: WakeLockSentinel | undefined
    let left = false
    const take = async () => {
      try {
        lock = await navigator.wakeLock.request('screen')
        if (left) await lock.release()
      } catch {
        // Not allowed just now, or not known here.
      }
    }
    const back = () => {
      if (document.visibilityState === 'visible') setAgain((count) => count + 1)
    }
    void take()
    document.addEventListener('visibilitychange', back)
    return () => {
      left = true
      document.removeEventListener('visibilitychange', back)
      void lock?.release()
    }
  }, [again])
}
