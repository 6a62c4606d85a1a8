import { Button, Popover } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback, useEffect, useRef, useState, type FormEvent } from 'react'
import { notices } from '../live/notices'
import { useStore } from '../live/store'
import { copy } from '../parts/copy'
import { Icon } from '../ui/icons'
import { Page, Panel } from '../ui/Page'
import { prettified, variablesOf } from './document'
import { EXAMPLES } from './examples'
import { Library } from './Library'
import { QueryTab } from './QueryTab'
import { savedQueries } from './saved'
import { packed, unpacked, type Draft } from './share'
import { snippet, type Language } from './snippets'
import { Tabs } from './tabs'
import { useSchema } from './useSchema'
import styles from './QueryPage.module.css'

const openQueries = new Tabs(EXAMPLES[0] ?? { name: 'Query', query: '', variables: '' })

/** Ask the API anything that one may read: with its schema at hand, as a table, a chart, a file, or a program. */
export function QueryPage() {
  const schema = useSchema()
  const { tabs } = useStore(openQueries)
  const active = openQueries.active
  const [allowsMutations, setAllowsMutations] = useState(false)
  const navigate = useNavigate()
  useAddress(openQueries.open)
  const seen = useSeen(active.id)

  const choose = useCallback((chosen: Draft & { name: string; id?: string }) => {
    openQueries.open(chosen)
    void navigate({ to: '/query', search: chosen.id ? { id: chosen.id } : {}, resetScroll: false })
  }, [navigate])
  // An address names one query; it must not come back with another in sight.
  const leaveAddress = () => void navigate({ to: '/query', search: {}, resetScroll: false })

  const share = async () => {
    try {
      const q = await packed(active)
      await navigate({ to: '/query', search: { q }, resetScroll: false })
      await copy(`${location.origin}/query?q=${q}`, 'the link')
    } catch (error) {
      notices.tell({ tone: 'fail', title: 'Not shared', detail: error instanceof Error ? error.message : String(error) })
    }
  }
  return (
    <Page
      title="Query"
      actions={
        <>
          <label className={styles.check}>
            <input type="checkbox" checked={allowsMutations} onChange={(event) => setAllowsMutations(event.currentTarget.checked)} /> Allow mutations
          </label>
          <Button size="xs" variant="default" onClick={() => openQueries.change(active.id, { query: prettified(active.query) })}>Prettify</Button>
          <SaveQuery name={active.name} save={(given) => {
            const { query, variables } = active
            const id = savedQueries.save(given, active)
            openQueries.change(active.id, { name: given, opened: { query, variables } })
            void navigate({ to: '/query', search: { id }, resetScroll: false })
          }} />
          <Button size="xs" variant="default" leftSection={<Icon name="link" size={14} />} onClick={() => void share()}>Share</Button>
          <CodeMenu draft={active} />
        </>
      }
    >
      <div className={styles.page}>
        <Panel className={styles.side}>
          <Library schema={schema} open={choose} />
        </Panel>
        <div className={styles.work}>
          <nav className={styles.tabs} aria-label="Open queries">
            <ul>
              {tabs.map(({ id, name }) => (
                <li key={id} data-active={id === active.id || undefined}>
                  <button type="button" aria-current={id === active.id || undefined} onClick={() => { openQueries.activate(id); leaveAddress() }}>{name}</button>
                  <button type="button" aria-label={`Close ${name}`} onClick={() => { openQueries.close(id); leaveAddress() }}>
                    <Icon name="cross" size={12} />
                  </button>
                </li>
              ))}
              <li>
                <button type="button" aria-label="Open another query" onClick={() => { openQueries.add(); leaveAddress() }}>
                  <Icon name="plus" size={14} />
                </button>
              </li>
            </ul>
          </nav>
          {tabs.filter(({ id }) => id === active.id || seen.has(id)).map((tab) => (
            <QueryTab key={tab.id} tab={tab} isActive={tab.id === active.id} schema={schema} allowsMutations={allowsMutations} change={(part) => openQueries.change(tab.id, part)} />
          ))}
        </div>
      </div>
    </Page>
  )
}

// Those that have been in sight; one that was open before gets its editor when it is looked at.
function useSeen(id: string): ReadonlySet<string> {
  const [seen, setSeen] = useState<ReadonlySet<string>>(new Set([id]))
  if (!seen.has(id)) setSeen(new Set([...seen, id]))
  return seen
}

function SaveQuery({ name, save }: { name: string; save: (name: string) => void }) {
  const [opened, setOpened] = useState(false)
  const [text, setText] = useState(name)
  const keep = (event: FormEvent) => {
    event.preventDefault()
    if (!text.trim()) return
    save(text.trim())
    setOpened(false)
  }
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" trapFocus withinPortal>
      <Popover.Target>
        <Button size="xs" variant="default" aria-haspopup="dialog" leftSection={<Icon name="star" size={14} />} onClick={() => { setText(name); setOpened((before) => !before) }}>Save</Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Save the query">
        <form className={styles.form} onSubmit={keep}>
          <label className={styles.variables}>
            Name
            <input value={text} maxLength={80} onChange={(event) => setText(event.currentTarget.value)} />
          </label>
          <Button type="submit" size="xs">Save query</Button>
        </form>
      </Popover.Dropdown>
    </Popover>
  )
}

function CodeMenu({ draft }: { draft: Draft }) {
  const [opened, setOpened] = useState(false)
  const [language, setLanguage] = useState<Language>('curl')
  let variables: Record<string, unknown> = {}
  try {
    variables = variablesOf(draft.variables)
  } catch {
    // The program is shown without them; running says what is wrong.
  }
  const code = snippet(language, location.origin, draft.query, variables)
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" trapFocus withinPortal width={560}>
      <Popover.Target>
        <Button size="xs" variant="default" aria-haspopup="dialog" onClick={() => setOpened((before) => !before)}>Code</Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="The query as a program">
        <div className={styles.bar}>
          {(['curl', 'python', 'polars'] as const).map((one) => (
            <Button key={one} size="xs" variant={one === language ? 'light' : 'default'} aria-pressed={one === language} onClick={() => setLanguage(one)}>
              {{ curl: 'curl', python: 'Python', polars: 'Polars' }[one]}
            </Button>
          ))}
          <Button size="xs" variant="default" onClick={() => void copy(code, 'the program')}>Copy</Button>
        </div>
        <pre className={styles.code} tabIndex={0} aria-label="Program">{code}</pre>
      </Popover.Dropdown>
    </Popover>
  )
}

// Opens what the address names, once for each address.
function useAddress(found: (draft: Draft & { name: string }) => void): void {
  const { id, q } = useSearch({ from: '/desk/query' })
  const latest = useRef(found)
  useEffect(() => {
    latest.current = found
  })
  useEffect(() => {
    const saved = id && savedQueries.read().find((known) => known.id === id)
    if (saved) latest.current(saved)
    else if (id) notices.tell({ tone: 'info', title: 'That query is not saved in this browser', detail: 'Ask for a link made by Share.' })
    if (!q) return
    void unpacked(q).then((draft) => {
      if (draft) latest.current({ ...draft, name: 'Shared query' })
      else notices.tell({ tone: 'fail', title: 'The link holds no query', detail: 'It may have been cut off.' })
    })
  }, [id, q])
}
