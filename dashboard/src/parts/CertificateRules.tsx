import { Button, Textarea, TextInput } from '@mantine/core'
import { useState } from 'react'
import { compare, isMultiple, readDecimal, unitsOf } from '../decimal'
import { formatPrice, formatQuantity, formatTime, NOTHING } from '../format'
import { useZone } from '../preferences'
import { ConfirmModal } from '../ui/Confirm'
import { DecimalField } from '../ui/DecimalField'
import { Fact, Facts } from '../ui/Facts'
import { FormFailure } from '../ui/FormFailure'
import { Panel } from '../ui/Page'
import { StateMark } from '../ui/Status'
import { UpdateCertificate, UpdatePrice, UpdateSettings, type CertificateEntry, type SettingsEntry } from './officeDocuments'
import { useSubmit } from './useSubmit'
import styles from './Office.module.css'

interface Props {
  certificate: CertificateEntry
  settings: SettingsEntry
  changes: boolean
  changed: () => void
}

/** Show the rules of one certificate: halted or not, reference price, grid, texts. */
export function CertificateRules({ certificate, settings, changes, changed }: Props) {
  const zone = useZone()
  const { certificateType, lastTrade, isHalted } = certificate
  return (
    <Panel label={certificateType} className={styles.card}>
      <div className={styles.cardHead}>
        <h2 className={styles.cardTitle}>{certificateType}: {certificate.name}</h2>
        <StateMark tone={isHalted ? 'fail' : 'ok'}>{isHalted ? 'Halted' : 'Trading'}</StateMark>
      </div>
      <Facts>
        <Fact term="Last trade">{lastTrade ? `${formatPrice(lastTrade.price)} EUR at ${formatTime(lastTrade.executedAt, zone)}` : NOTHING}</Fact>
        {!changes && (
          <>
            <Fact term="Reference price">{formatPrice(certificate.referencePrice)} EUR</Fact>
            <Fact term="Tick">{formatPrice(certificate.tickSize)} EUR</Fact>
            <Fact term="Lot">{formatQuantity(certificate.lotSize)}</Fact>
            <Fact term="Description">{certificate.description}</Fact>
          </>
        )}
      </Facts>
      {changes && (
        <>
          <Halt certificate={certificate} settings={settings} changed={changed} />
          <ReferencePrice certificate={certificate} changed={changed} />
          <Rules key={JSON.stringify(certificate)} certificate={certificate} changed={changed} />
        </>
      )}
    </Panel>
  )
}

function Halt({ certificate: { certificateType, isHalted }, settings, changed }: Omit<Props, 'changes'>) {
  const [asked, setAsked] = useState(false)
  const { submit, busy, failure } = useSubmit({
    document: UpdateSettings,
    field: 'updateSettings',
    keyed: false,
    done: () => ({ title: isHalted ? 'Trading resumed' : 'Trading halted', detail: certificateType }),
    failed: isHalted ? 'Trading not resumed' : 'Trading not halted',
  })
  const act = async () => {
    const others = settings.haltedCertificates.filter((one) => one !== certificateType)
    const outcome = await submit(() => ({ input: { haltedCertificates: isHalted ? others : [...others, certificateType] } }))
    if (outcome?.kind !== 'done') return
    setAsked(false)
    changed()
  }
  return (
    <div>
      <Button variant="default" className={isHalted ? '' : (styles.danger ?? '')} onClick={() => setAsked(true)}>
        {isHalted ? `Resume trading in ${certificateType}…` : `Halt trading in ${certificateType}…`}
      </Button>
      <ConfirmModal
        opened={asked} close={() => setAsked(false)} busy={busy} act={() => void act()} keep={isHalted ? 'Stay halted' : 'Keep trading'}
        title={`${isHalted ? 'Resume' : 'Halt'} ${certificateType}`} confirm={`${isHalted ? 'Resume' : 'Halt'} ${certificateType}`}
      >
        <FormFailure failure={failure} />
        <p>
          {isHalted
            ? `New orders in ${certificateType} are taken again, at once and from everybody.`
            : `New orders in ${certificateType} are refused from everybody; cancels are taken. Orders in the book stay.`}
        </p>
      </ConfirmModal>
    </div>
  )
}

function ReferencePrice({ certificate: { certificateType, referencePrice }, changed }: Pick<Props, 'certificate' | 'changed'>) {
  const [price, setPrice] = useState(referencePrice ?? '')
  const { submit, busy, errorOf, failure } = useSubmit({
    document: UpdatePrice,
    field: 'updatePrice',
    keyed: false,
    done: ({ certificate }) => ({ title: 'Reference price set', detail: `${certificateType} ${formatPrice(certificate?.referencePrice)} EUR` }),
    failed: 'Reference price not set',
  })
  const asked = readDecimal(price)
  const fits = asked !== undefined && unitsOf(asked) > 0n && isMultiple(asked, '0.01')
  const send = async () => {
    if (asked === undefined || !fits) return
    const outcome = await submit(() => ({ certificateType, price: asked }))
    if (outcome?.kind === 'done') changed()
  }
  return (
    <form
      className={styles.row}
      onSubmit={(event) => {
        event.preventDefault()
        void send()
      }}
    >
      <DecimalField
        label={`Reference price of ${certificateType}`} value={price} change={setPrice} places={2} step="0.01" unit="EUR"
        description="The middle of the price band; orders in the book stay."
        error={price !== '' && !fits ? 'A price above 0 with 2 decimals at most.' : (errorOf('price') ?? failure?.message)}
      />
      <Button type="submit" variant="default" loading={busy} disabled={!fits || (referencePrice !== null && compare(asked, referencePrice) === 0)}>
        Set price
      </Button>
    </form>
  )
}

function Rules({ certificate, changed }: Pick<Props, 'certificate' | 'changed'>) {
  const { certificateType } = certificate
  const [draft, setDraft] = useState({
    name: certificate.name,
    description: certificate.description ?? '',
    tickSize: certificate.tickSize,
    lotSize: certificate.lotSize,
  })
  const { submit, busy, errorOf, failure } = useSubmit({
    document: UpdateCertificate,
    field: 'updateCertificate',
    keyed: false,
    done: () => ({ title: 'Certificate changed', detail: certificateType }),
    failed: 'Certificate not changed',
  })
  const set = (part: Partial<typeof draft>) => setDraft({ ...draft, ...part })
  const tickSize = readDecimal(draft.tickSize)
  const lotSize = readDecimal(draft.lotSize)
  const input = {
    ...(draft.name.trim() !== certificate.name && { name: draft.name.trim() }),
    ...(draft.description !== (certificate.description ?? '') && { description: draft.description }),
    ...(tickSize !== undefined && compare(tickSize, certificate.tickSize) !== 0 && { tickSize }),
    ...(lotSize !== undefined && compare(lotSize, certificate.lotSize) !== 0 && { lotSize }),
  }
  const fits = tickSize !== undefined && lotSize !== undefined && draft.name.trim() !== ''
  const send = async () => {
    const outcome = await submit(() => ({ certificateType, input }))
    if (outcome?.kind === 'done') changed()
  }
  return (
    <form
      className={styles.form}
      onSubmit={(event) => {
        event.preventDefault()
        if (fits) void send()
      }}
    >
      <FormFailure failure={failure} />
      <TextInput label="Name" value={draft.name} maxLength={64} onChange={(event) => set({ name: event.currentTarget.value })} error={errorOf('name')} />
      <Textarea
        label="Description" value={draft.description} autosize minRows={1} maxLength={2_000} error={errorOf('description')}
        onChange={(event) => set({ description: event.currentTarget.value })}
      />
      <div className={styles.row}>
        <DecimalField label="Tick" value={draft.tickSize} change={(text) => set({ tickSize: text })} places={2} unit="EUR" error={errorOf('tickSize')} />
        <DecimalField label="Lot" value={draft.lotSize} change={(text) => set({ lotSize: text })} places={0} error={errorOf('lotSize')} />
      </div>
      <p className={styles.note}>The grid changes only while every open order is on the new one; the refusal says how many are not. Halt first.</p>
      <div className={styles.buttons}>
        <Button type="submit" variant="default" loading={busy} disabled={!fits || Object.keys(input).length === 0}>
          Save the rules of {certificateType}
        </Button>
      </div>
    </form>
  )
}
