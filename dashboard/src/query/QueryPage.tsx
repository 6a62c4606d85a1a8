import { Button, Loader, Popover } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { lazy, Suspense, useCallback, useEffect, useRef, useState, type FormEvent } from 'react'
import { desk } from '../client'
import { formatCount } from '../format'
import { useKeys } from '../keyboard'
import { notices } from '../live/notices'
import { copy } from '../parts/copy'
import { Icon } from '../ui/icons'
import { Page, Panel } from '../ui/Page'
import { operationOf, pagingFault, prettified, variablesOf, type Operation } from './document'
import { EXAMPLES } from './examples'
import { Library } from './Library'
import { Result, type Shown } from './Result'
import { rowsOf, type Row } from './rows'
import { fetchPages, run, type Answer } from './run'
import { savedQueries } from './saved'
import { packed, unpacked, type Draft } from './share'
import { snippet, type Language } from './snippets'
import { useSchema } from './useSchema'
import styles from './QueryPage.module.css'

const Editor = lazy(() => import('./Editor'))
const CAPS = ['1000', '10000', '100000', '1000000']
const STREAMED_ROWS_MAX = 1_000 // of a subscription, the newest
const PAGE_PAUSE_MS = 5 // lets the page breathe between two requests
const START: Draft = { query: EXAMPLES[0]?.query ?? '', variables: EXAMPLES[0]?.variables ?? '' }

interface Work {
  stop: () => void
  progress: string
}

/** Ask the API anything that one may read: with its schema at hand, as a table, a file, or a program. */
export function QueryPage() {
  const schema = useSchema()
  const [draft, setDraft] = useState<Draft>(START)
  const [name, setName] = useState(EXAMPLES[0]?.name ?? 'Query')
  const [shown, setShown] = useState<Shown>()
  const [problem, setProblem] = useState<string>()
  const [work, setWork] = useState<Work>()
  const [allowsMutations, setAllowsMutations] = useState(false)
  const [cap, setCap] = useState('10000')
  const navigate = useNavigate()
  useAddress((found) => {
    setDraft(found)
    setName(found.name)
  })

  // What still runs ends with the page.
  const running = useRef<Work>(undefined)
  useEffect(() => {
    running.current = work
  }, [work])
  useEffect(() => () => running.current?.stop(), [])

  const open = useCallback((chosen: Draft & { name: string; id?: string }) => {
    setDraft({ query: chosen.query, variables: chosen.variables })
    setName(chosen.name)
    setProblem(undefined)
    void navigate({ to: '/query', search: chosen.id ? { id: chosen.id } : {}, resetScroll: false })
  }, [navigate])

  // Reads the editor and says what is wrong with it; undefined when it cannot be run.
  const read = (): { operation: Operation; variables: Record<string, unknown> } | undefined => {
    try {
      const operation = operationOf(draft.query)
      if (operation.type === 'mutation' && !allowsMutations) {
        setProblem('This is a mutation: it changes the market. Tick “Allow mutations” to run it.')
        return undefined
      }
      setProblem(undefined)
      return { operation, variables: variablesOf(draft.variables) }
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
      return undefined
    }
  }
  const start = async () => {
    const asked = work ? undefined : read()
    if (!asked) return
    if (asked.operation.type === 'subscription') {
      setWork({ stop: stream(asked.operation, asked.variables, setShown, setProblem, () => setWork(undefined)), progress: 'Streaming' })
      return
    }
    const abort = new AbortController()
    setWork({ stop: () => abort.abort(), progress: 'Running' })
    try {
      const answer = await run(draft.query, asked.variables, abort.signal)
      setShown(shownOf(answer))
      if (answer.errors.length > 0) setProblem(answer.errors.map(({ message }) => message).join(' '))
    } catch (error) {
      setProblem(abort.signal.aborted ? 'Stopped.' : `The server cannot be reached. ${error instanceof Error ? error.message : ''}`)
    } finally {
      setWork(undefined)
    }
  }
  const fetchAll = async () => {
    const asked = work ? undefined : read()
    if (!asked) return
    const abort = new AbortController()
    const startedAt = performance.now()
    setWork({ stop: () => abort.abort(), progress: 'First page' })
    const pages = await fetchPages(
      async (after) => {
        await new Promise((done) => setTimeout(done, PAGE_PAUSE_MS))
        return run(draft.query, { ...asked.variables, after }, abort.signal)
      },
      Number(cap),
      abort.signal,
      (rows, pages) => setWork({ stop: () => abort.abort(), progress: `${formatCount(rows)} rows, ${formatCount(pages)} pages` }),
    )
    setWork(undefined)
    setProblem(pages.failure)
    const words = { whole: `all of it, ${formatCount(pages.pages)} pages`, capped: `cut at ${formatCount(Number(cap))} rows`, stopped: 'stopped', failed: 'not whole' }
    setShown({ rows: pages.rows, columns: pages.columns, body: pages.rows, tookMs: performance.now() - startedAt, note: words[pages.end] })
  }
  const share = async () => {
    try {
      const q = await packed(draft)
      await navigate({ to: '/query', search: { q }, resetScroll: false })
      await copy(`${location.origin}/query?q=${q}`, 'the link')
    } catch (error) {
      notices.tell({ tone: 'fail', title: 'Not shared', detail: error instanceof Error ? error.message : String(error) })
    }
  }
  useKeys('Query', [{ keys: 'mod+Enter', does: 'Run the query', run: () => void start() }])
  const fault = pagingFault(draft.query)
  return (
    <Page
      title="Query"
      actions={
        <>
          <label className={styles.check}>
            <input type="checkbox" checked={allowsMutations} onChange={(event) => setAllowsMutations(event.currentTarget.checked)} /> Allow mutations
          </label>
          <Button size="xs" variant="default" onClick={() => setDraft({ ...draft, query: prettified(draft.query) })}>Prettify</Button>
          <SaveQuery name={name} save={(given) => {
            const id = savedQueries.save(given, draft)
            setName(given)
            void navigate({ to: '/query', search: { id }, resetScroll: false })
          }} />
          <Button size="xs" variant="default" leftSection={<Icon name="link" size={14} />} onClick={() => void share()}>Share</Button>
          <CodeMenu draft={draft} />
        </>
      }
    >
      <div className={styles.page}>
        <Panel className={styles.side}>
          <Library schema={schema} open={open} />
        </Panel>
        <div className={styles.work}>
          <Panel className={styles.frame} label="Editor">
            <div className={styles.edited} data-writes={allowsMutations || undefined}>
              <Suspense fallback={<div className={styles.waiting}><Loader size="sm" role="status" aria-label="Loading the editor" /></div>}>
                <Editor text={draft.query} schema={schema} change={(query) => setDraft((old) => ({ ...old, query }))} run={() => void start()} />
              </Suspense>
            </div>
            <label className={styles.variables}>
              Variables (JSON)
              <textarea rows={3} spellCheck={false} value={draft.variables} onChange={(event) => setDraft({ ...draft, variables: event.currentTarget.value })} />
            </label>
            <div className={styles.bar}>
              <Button size="xs" onClick={() => void start()} disabled={work !== undefined}>Run</Button>
              <Button size="xs" variant="default" disabled={work !== undefined || fault !== undefined} title={fault} onClick={() => void fetchAll()}>Fetch all pages</Button>
              <select className={styles.cap} aria-label="Rows at most" value={cap} onChange={(event) => setCap(event.currentTarget.value)}>
                {CAPS.map((value) => (
                  <option key={value} value={value}>≤ {formatCount(Number(value))} rows</option>
                ))}
              </select>
              {work && (
                <>
                  <span role="status" className={styles.count}>{work.progress}</span>
                  <Button size="xs" variant="default" onClick={() => { work.stop(); setWork(undefined) }}>Stop</Button>
                </>
              )}
              {fault && !work && <span className={styles.note}>To fetch all pages: {fault}</span>}
            </div>
          </Panel>
          {problem && <p role="alert" className={styles.problem}>{problem}</p>}
          <Panel label="Result" className={styles.result}>
            <Result shown={shown} busy={work !== undefined} fileName={fileNameOf(name)} />
          </Panel>
        </div>
      </div>
    </Page>
  )
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

function stream(
  operation: Operation,
  variables: Record<string, unknown>,
  show: (shown: Shown) => void,
  fail: (problem: string) => void,
  end: () => void,
): () => void {
  const startedAt = performance.now()
  let rows: Row[] = []
  let columns: string[] = []
  return desk.connection.follow(operation.document, () => variables, {
    next: (data: unknown) => {
      const found = rowsOf(data)
      rows = [...found.rows, ...rows].slice(0, STREAMED_ROWS_MAX)
      columns = [...new Set([...columns, ...found.columns])]
      show({ rows, columns, body: rows, tookMs: performance.now() - startedAt, note: 'newest first, as they come' })
    },
    down: (problem, retrying) => {
      if (problem) fail(problem.message)
      if (!retrying) end()
    },
  })
}

function shownOf(answer: Answer): Shown {
  const { rows, columns, page } = rowsOf(answer.data)
  return { rows, columns, body: answer.body, tookMs: answer.tookMs, note: page?.hasNextPage ? 'there are more pages' : undefined }
}

function fileNameOf(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-|-$/g, '') || 'query'
}
