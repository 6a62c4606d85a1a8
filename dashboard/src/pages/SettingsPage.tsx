import { Skeleton } from '@mantine/core'
import { can } from '../can'
import { useAnswer } from '../client'
import { CertificateRules } from '../parts/CertificateRules'
import { MarketRules } from '../parts/MarketRules'
import { SettingsQuery } from '../parts/officeDocuments'
import { usePerson } from '../parts/usePerson'
import { ProblemNote } from '../ui/Notes'
import { Page } from '../ui/Page'
import styles from '../parts/Office.module.css'

/** Show the rules of the market, and let admins change them: each change is a ticket. */
export function SettingsPage() {
  const { data, problem, again } = useAnswer(SettingsQuery, {})
  const changes = can(usePerson()?.role, 'desk.write')
  return (
    <Page title="Settings">
      {problem && (
        <div className={styles.problem}>
          <ProblemNote problem={problem} again={again} />
        </div>
      )}
      {!data && !problem && <Skeleton height={320} aria-label="Loading the settings" />}
      {data && (
        <div className={styles.cards}>
          {data.certificates.map((certificate) => (
            <CertificateRules
              key={certificate.certificateType} certificate={certificate} settings={data.settings} changes={changes} changed={again}
            />
          ))}
          <MarketRules settings={data.settings} changes={changes} changed={again} />
        </div>
      )}
    </Page>
  )
}
