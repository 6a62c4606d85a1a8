import { Button } from '@mantine/core'
import { useState } from 'react'
import { compare, readDecimal, unitsOf } from '../decimal'
import { formatDecimal } from '../format'
import { ConfirmModal } from '../ui/Confirm'
import { DecimalField } from '../ui/DecimalField'
import { Fact, Facts } from '../ui/Facts'
import { FormFailure } from '../ui/FormFailure'
import { Panel } from '../ui/Page'
import { StateMark } from '../ui/Status'
import { UpdateSettings, type SettingsEntry } from './officeDocuments'
import { useSubmit } from './useSubmit'
import styles from './Office.module.css'

const BAND_PERCENT_MAX = '100' // the contract's

interface Props {
  settings: SettingsEntry
  changes: boolean
  changed: () => void
}

/** Show what holds for the whole market: the price band, and who sees market data. */
export function MarketRules({ settings, changes, changed }: Props) {
  const { priceBandPercent: band, publicMarketData: isPublic } = settings
  const [draft, setDraft] = useState(band ?? '')
  const [asked, setAsked] = useState<'band' | 'public'>()
  const { submit, busy, failure, clear } = useSubmit({
    document: UpdateSettings,
    field: 'updateSettings',
    keyed: false,
    done: ({ settings: after }) => ({
      title: 'Settings changed',
      detail: after ? `Band ${after.priceBandPercent ? `${formatDecimal(after.priceBandPercent)} %` : 'none'}, market data ${after.publicMarketData ? 'public' : 'closed'}` : undefined,
    }),
    failed: 'Settings not changed',
  })
  const send = async (input: { priceBandPercent?: string | null; publicMarketData?: boolean }) => {
    const outcome = await submit(() => ({ input }))
    if (outcome?.kind !== 'done') return
    setAsked(undefined)
    changed()
  }
  const close = () => {
    clear()
    setAsked(undefined)
  }
  const read = draft.trim() === '' ? null : readDecimal(draft)
  const fits = read === null || (read !== undefined && unitsOf(read) > 0n && compare(read, BAND_PERCENT_MAX) <= 0)
  const next = read ?? null
  const isSame = next === null ? band === null : band !== null && compare(next, band) === 0
  return (
    <Panel label="Whole market" className={styles.card}>
      <div className={styles.cardHead}>
        <h2 className={styles.cardTitle}>Whole market</h2>
        <StateMark tone={isPublic ? 'ok' : 'warn'}>{isPublic ? 'Market data public' : 'Market data closed'}</StateMark>
      </div>
      {changes ? (
        <>
          <form
            className={styles.row}
            onSubmit={(event) => {
              event.preventDefault()
              if (fits) setAsked('band')
            }}
          >
            <DecimalField
              label="Price band" value={draft} change={setDraft} places={0} unit="%"
              description="How far from its reference price a certificate may trade. Empty: no band."
              error={fits ? undefined : 'Above 0 and up to 100, or empty.'}
            />
            <Button type="submit" variant="default" disabled={!fits || isSame}>Set band…</Button>
          </form>
          <div>
            <Button variant="default" className={isPublic ? (styles.danger ?? '') : ''} onClick={() => setAsked('public')}>
              {isPublic ? 'Close the market data…' : 'Open the market data…'}
            </Button>
          </div>
        </>
      ) : (
        <Facts>
          <Fact term="Price band">{band === null ? 'none' : `${formatDecimal(band)} %`}</Fact>
        </Facts>
      )}
      <ConfirmModal
        opened={asked === 'band'} close={close} title="Set the price band" confirm={next === null ? 'Remove the band' : `Set ${next} %`} busy={busy}
        act={() => void send({ priceBandPercent: next })}
      >
        <FormFailure failure={failure} />
        <p>
          {next === null
            ? 'Orders at any price are taken.'
            : `LIMIT orders further than ${next} % from the reference price are refused; MARKET orders stop there. What is in the book stays.`}
        </p>
      </ConfirmModal>
      <ConfirmModal
        opened={asked === 'public'} close={close} title={isPublic ? 'Close the market data' : 'Open the market data'}
        confirm={isPublic ? 'Close' : 'Open'} busy={busy} act={() => void send({ publicMarketData: !isPublic })}
      >
        <FormFailure failure={failure} />
        <p>
          {isPublic
            ? 'Certificates, books and trades are then shown only to those who are signed in; streams of strangers end within seconds.'
            : 'Certificates, books and trades are then shown to anybody, signed in or not.'}
        </p>
      </ConfirmModal>
    </Panel>
  )
}
