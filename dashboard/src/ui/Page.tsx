import type { ReactNode } from 'react'
import styles from './Page.module.css'

interface Props {
  title: string
  /** Where the page belongs, for the window's title. */
  section?: string
  actions?: ReactNode
  children: ReactNode
}

/** Frame a page: its title in the window and on the page, its actions, its content. */
export function Page({ title, section, actions, children }: Props) {
  return (
    <>
      <title>{[title, section, 'Carbon Desk'].filter(Boolean).join(' · ')}</title>
      <div className={styles.head}>
        <h1 className={styles.title}>{title}</h1>
        {actions && <div className={styles.actions}>{actions}</div>}
      </div>
      {children}
    </>
  )
}

interface PanelProps {
  label?: string
  className?: string | undefined
  children: ReactNode
}

/** Frame one subject on a page. */
export function Panel({ label, className, children }: PanelProps) {
  return (
    <section className={[styles.panel, className].filter(Boolean).join(' ')} aria-label={label}>
      {children}
    </section>
  )
}
