import { Button, Loader } from '@mantine/core'
import type { GraphQLSchema } from 'graphql'
import { lazy, Suspense, useEffect, useRef, useState } from 'react'
import { desk } from '../client'
import { formatCount } from '../format'
import { useKeys } from '../keyboard'
import { Panel } from '../ui/Page'
import { operationOf, pagingFault, variablesOf, type Operation } from './document'
import { Result, type Shown } from './Result'
import { rowsOf, type Row } from './rows'
import { fetchPages, run, type Answer } from './run'
import type { Draft } from './share'
import type { Tab } from './tabs'
import { Variables } from './Variables'
import styles from './QueryPage.module.css'

const Editor = lazy(() => import('./Editor'))
const CAPS = ['1000', '10000', '100000', '1000000']
const STREAMED_ROWS_MAX = 1_000 // of a subscription, the newest
const PAGE_PAUSE_MS = 5 // lets the page breathe between two requests

interface Work {
  stop: () => void
  progress: string
}

interface Props {
  tab: Tab
  /** Whether it is the one in sight; the others keep their answers, and stream on. */
  isActive: boolean
  schema: GraphQLSchema | undefined
  allowsMutations: boolean
  change: (part: Partial<Draft>) => void
}

/** Edit and run one query. */
export function QueryTab({ tab, isActive, schema, allowsMutations, change }: Props) {
  const [shown, setShown] = useState<Shown>()
  const [problem, setProblem] = useState<string>()
  const [work, setWork] = useState<Work>()
  const [cap, setCap] = useState('10000')

  // What still runs ends with the tab.
  const running = useRef<Work>(undefined)
  useEffect(() => {
    running.current = work
  }, [work])
  useEffect(() => () => running.current?.stop(), [])

  // Reads the editor and says what is wrong with it; undefined when it cannot be run.
  const read = (): { operation: Operation; variables: Record<string, unknown> } | undefined => {
    try {
      const operation = operationOf(tab.query)
      if (operation.type === 'mutation' && !allowsMutations) {
        setProblem('This is a mutation: it changes the market. Tick “Allow mutations” to run it.')
        return undefined
      }
      setProblem(undefined)
      return { operation, variables: variablesOf(tab.variables) }
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
      const answer = await run(tab.query, asked.variables, abort.signal)
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
        return run(tab.query, { ...asked.variables, after }, abort.signal)
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
  useKeys('Query', [{ keys: 'mod+Enter', does: 'Run the query', run: () => void start() }], { on: isActive })
  const fault = pagingFault(tab.query)
  return (
    <div className={styles.work} hidden={!isActive}>
      <Panel className={styles.frame} label="Editor">
        <div className={styles.edited} data-writes={allowsMutations || undefined}>
          <Suspense fallback={<div className={styles.waiting}><Loader size="sm" role="status" aria-label="Loading the editor" /></div>}>
            <Editor text={tab.query} schema={schema} change={(query) => change({ query })} run={() => void start()} />
          </Suspense>
        </div>
        <Variables schema={schema} query={tab.query} text={tab.variables} change={(variables) => change({ variables })} />
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
        <Result shown={shown} busy={work !== undefined} fileName={fileNameOf(tab.name)} />
      </Panel>
    </div>
  )
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
