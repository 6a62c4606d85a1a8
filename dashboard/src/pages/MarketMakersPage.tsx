import { Skeleton } from '@mantine/core'
import { useEffect } from 'react'
import { desk, useAnswer } from '../client'
import { formatAmount, type Asset } from '../format'
import { graphql, type ResultOf } from '../graphql'
import { EmptyNote, ProblemNote } from '../ui/Notes'
import { Page, Panel } from '../ui/Page'
import { StateMark } from '../ui/Status'
import styles from './MarketMakersPage.module.css'

const MAKERS_MAX = 100 // the contract's page; more makers than this need the full screen's paging
const SKELETON_ROWS = 4
const REFRESH_MS = 1_000 // after the first of a burst of tickets
const ASSETS = ['CEA', 'EUA', 'EUR'] as const satisfies readonly Asset[]
const FIGURES = ['available', 'locked', 'total'] as const

const MarketMakers = graphql(`
  query MarketMakers($first: Int!) {
    marketMakers(first: $first) {
      nodes {
        id
        name
        isActive
        balances { asset available locked total }
      }
    }
  }
`)

const MakerTickets = graphql(`
  subscription MakerTickets {
    tickets(filter: { hasMarketMaker: true }) { ticketId }
  }
`)

type Maker = ResultOf<typeof MarketMakers>['marketMakers']['nodes'][number]

/** List the market makers with what they own, renewed whenever a ticket names one of them. */
export function MarketMakersPage() {
  const { data, problem, again } = useAnswer(MarketMakers, { first: MAKERS_MAX })
  useRefresh(again)
  const makers = data?.marketMakers.nodes
  return (
    <Page title="Market makers">
      {problem && (
        <div className={styles.problem}>
          <ProblemNote problem={problem} again={again} />
        </div>
      )}
      {makers?.length === 0 ? (
        <Panel>
          <EmptyNote title="No market makers yet">
            <p>One is created through the API: mutation createMarketMaker.</p>
          </EmptyNote>
        </Panel>
      ) : (
        (makers || !problem) && <MakerTable makers={makers} />
      )}
    </Page>
  )
}

function MakerTable({ makers }: { makers: readonly Maker[] | undefined }) {
  return (
    <Panel className={styles.panel}>
      <div className={styles.scroller} tabIndex={0} role="region" aria-label="Balances of market makers">
        <table className={styles.table} aria-label="Market makers" aria-busy={!makers}>
          <thead>
            <tr>
              <th scope="col" rowSpan={2}>Name</th>
              <th scope="col" rowSpan={2}>Status</th>
              {ASSETS.map((asset) => (
                <th key={asset} scope="colgroup" colSpan={FIGURES.length} className={styles.asset}>{asset}</th>
              ))}
            </tr>
            <tr>
              {ASSETS.flatMap((asset) =>
                FIGURES.map((figure) => (
                  <th key={`${asset} ${figure}`} scope="col" className={styles.figure} data-first={figure === 'available' || undefined}>
                    {figure.charAt(0).toUpperCase() + figure.slice(1)}
                  </th>
                )),
              )}
            </tr>
          </thead>
          <tbody>
            {makers
              ? makers.map((maker) => <MakerRow key={maker.id} maker={maker} />)
              : Array.from({ length: SKELETON_ROWS }, (_, row) => (
                  <tr key={row} aria-hidden="true">
                    <td colSpan={2 + ASSETS.length * FIGURES.length}>
                      <Skeleton height={12} width={`${85 - row * 9}%`} />
                    </td>
                  </tr>
                ))}
          </tbody>
        </table>
      </div>
    </Panel>
  )
}

function MakerRow({ maker }: { maker: Maker }) {
  return (
    <tr>
      <th scope="row">{maker.name}</th>
      <td>
        <StateMark tone={maker.isActive ? 'ok' : 'quiet'}>{maker.isActive ? 'Active' : 'Inactive'}</StateMark>
      </td>
      {ASSETS.flatMap((asset) => {
        const balance = maker.balances.find((known) => known.asset === asset)
        return FIGURES.map((figure) => (
          <td
            key={`${asset} ${figure}`}
            className={styles.figure}
            data-first={figure === 'available' || undefined}
            data-zero={!/[1-9]/.test(balance?.[figure] ?? '0') || undefined}
          >
            {formatAmount(balance?.[figure] ?? '0', asset)}
          </td>
        ))
      })}
    </tr>
  )
}

function useRefresh(again: () => void): void {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const soon = () => {
      timer ??= setTimeout(() => {
        timer = undefined
        again()
      }, REFRESH_MS)
    }
    const stop = desk.connection.follow(MakerTickets, () => ({}), { next: soon, down: (_, retrying) => retrying && soon() })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }, [again])
}
