import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import { session } from './client'
import {
  DEPOSITS_NAMES,
  KYC_NAMES,
  TRADES_NAMES,
  USERS_NAMES,
  type DepositsSearch,
  type KycSearch,
  type TradesSearch,
  type UsersSearch,
} from './officePaths'
import { LoginPage } from './pages/LoginPage'
import { NotFoundPage } from './pages/NotFoundPage'
import { FaultPage } from './parts/FaultPage'
import { Shell } from './parts/Shell'
import { Toasts } from './parts/Toasts'
import type { AccountSearch, BookSearch, MakerSearch, MakersSearch } from './marketPaths'
import {
  only,
  parseSearch,
  returnPath,
  stringifySearch,
  texts,
  type LoginSearch,
  type QuerySearch,
} from './paths'

const MarketOrdersPage = lazyRouteComponent(() => import('./pages/MarketOrdersPage'), 'MarketOrdersPage')
const MarketMakersPage = lazyRouteComponent(() => import('./pages/MarketMakersPage'), 'MarketMakersPage')
const MarketMakerPage = lazyRouteComponent(() => import('./pages/MarketMakerPage'), 'MarketMakerPage')
const TradingPage = lazyRouteComponent(() => import('./pages/TradingPage'), 'TradingPage')
const LoggingOverviewPage = lazyRouteComponent(() => import('./pages/LoggingOverviewPage'), 'LoggingOverviewPage')
const AllTicketsPage = lazyRouteComponent(() => import('./pages/TicketsPage'), 'AllTicketsPage')
const MakerActionsPage = lazyRouteComponent(() => import('./pages/TicketsPage'), 'MakerActionsPage')
const FailedActionsPage = lazyRouteComponent(() => import('./pages/TicketsPage'), 'FailedActionsPage')
const SearchPage = lazyRouteComponent(() => import('./pages/TicketsPage'), 'SearchPage')
const QueryPage = lazyRouteComponent(() => import('./query/QueryPage'), 'QueryPage')
const TicketPage = lazyRouteComponent(() => import('./pages/TicketPage'), 'TicketPage')

const UsersPage = lazyRouteComponent(() => import('./pages/UsersPage'), 'UsersPage')
const KycPage = lazyRouteComponent(() => import('./pages/KycPage'), 'KycPage')
const DepositsPage = lazyRouteComponent(() => import('./pages/DepositsPage'), 'DepositsPage')
const SettlementPage = lazyRouteComponent(() => import('./pages/SettlementPage'), 'SettlementPage')
const SettingsPage = lazyRouteComponent(() => import('./pages/SettingsPage'), 'SettingsPage')
const OperationsPage = lazyRouteComponent(() => import('./pages/OperationsPage'), 'OperationsPage')

const root = createRootRoute({
  component: () => (
    <>
      <Outlet />
      <Toasts />
    </>
  ),
  notFoundComponent: NotFoundPage,
})

const login = createRoute({
  getParentRoute: () => root,
  path: 'login',
  validateSearch: (search): LoginSearch => only(search, 'to'),
  beforeLoad: async ({ search }) => {
    const { status } = await session.load()
    if (status === 'signed-in') throw redirect({ href: returnPath(search.to), replace: true })
  },
  component: LoginPage,
})

/**
 * Everything that needs somebody at the desk. Below it, areas.ts says which role may see an address and what leads there;
 * a new page needs its route here and nothing else. A server that cannot be reached is said by the shell, not by a login. */
const desk = createRoute({
  getParentRoute: () => root,
  id: 'desk',
  beforeLoad: async ({ location }) => {
    const { status } = await session.load()
    if (status === 'anonymous') throw redirect({ to: '/login', search: { to: location.href }, replace: true })
  },
  component: Shell,
})

const home = createRoute({
  getParentRoute: () => desk,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/market-orders', replace: true })
  },
})

const marketOrders = createRoute({
  getParentRoute: () => desk,
  path: 'market-orders',
  validateSearch: (search): BookSearch => only(search, 'cert', 'rows', 'group', 'mm', 'status', 'view'),
  component: MarketOrdersPage,
})

const trading = createRoute({
  getParentRoute: () => desk,
  path: 'trading',
  validateSearch: (search): BookSearch & AccountSearch =>
    only(search, 'cert', 'rows', 'group', 'status', 'tab', 'asset', 'type', 'last'),
  component: TradingPage,
})

const marketMakers = createRoute({
  getParentRoute: () => desk,
  path: 'market-makers',
  validateSearch: (search): MakersSearch => only(search, 'q', 'active'),
  component: MarketMakersPage,
})

const marketMaker = createRoute({
  getParentRoute: () => desk,
  path: 'market-makers/$makerId',
  validateSearch: (search): MakerSearch => only(search, 'tab', 'asset', 'type', 'last', 'status'),
  component: MarketMakerPage,
})

// Lists of tickets: tickets/search.ts reads their addresses; parameters that it does not know are kept.
const logging = createRoute({
  getParentRoute: () => desk,
  path: 'logging',
  beforeLoad: () => {
    throw redirect({ to: '/logging/overview', replace: true })
  },
})

const loggingOverview = createRoute({
  getParentRoute: () => desk,
  path: 'logging/overview',
  validateSearch: texts,
  component: LoggingOverviewPage,
})

const tickets = createRoute({
  getParentRoute: () => desk,
  path: 'logging/tickets',
  validateSearch: texts,
  component: AllTicketsPage,
})

const makerActions = createRoute({
  getParentRoute: () => desk,
  path: 'logging/mm-actions',
  validateSearch: texts,
  component: MakerActionsPage,
})

const failedActions = createRoute({
  getParentRoute: () => desk,
  path: 'logging/failed',
  validateSearch: texts,
  component: FailedActionsPage,
})

const searchTickets = createRoute({
  getParentRoute: () => desk,
  path: 'logging/search',
  validateSearch: texts,
  component: SearchPage,
})

const ticketPage = createRoute({
  getParentRoute: () => desk,
  path: 'logging/tickets/$ticketId',
  component: TicketPage,
})

const query = createRoute({
  getParentRoute: () => desk,
  path: 'query',
  validateSearch: (search): QuerySearch => only(search, 'id', 'q'),
  component: QueryPage,
})

/** The short address of a ticket, for mails and chats. */
const ticket = createRoute({
  getParentRoute: () => desk,
  path: 't/$ticketId',
  beforeLoad: ({ params }) => {
    throw redirect({ to: '/logging/tickets/$ticketId', params, replace: true })
  },
})

const people = createRoute({
  getParentRoute: () => desk,
  path: 'people',
  beforeLoad: () => {
    throw redirect({ to: '/people/users', replace: true })
  },
})

const users = createRoute({
  getParentRoute: () => desk,
  path: 'people/users',
  validateSearch: (search): UsersSearch => only(search, ...USERS_NAMES),
  component: UsersPage,
})

const kyc = createRoute({
  getParentRoute: () => desk,
  path: 'people/kyc',
  validateSearch: (search): KycSearch => only(search, ...KYC_NAMES),
  component: KycPage,
})

const deposits = createRoute({
  getParentRoute: () => desk,
  path: 'people/deposits',
  validateSearch: (search): DepositsSearch => only(search, ...DEPOSITS_NAMES),
  component: DepositsPage,
})

const settlement = createRoute({
  getParentRoute: () => desk,
  path: 'settlement',
  validateSearch: (search): TradesSearch => only(search, ...TRADES_NAMES),
  component: SettlementPage,
})

const settings = createRoute({ getParentRoute: () => desk, path: 'settings', component: SettingsPage })

const operations = createRoute({ getParentRoute: () => desk, path: 'operations', component: OperationsPage })

export const router = createRouter({
  routeTree: root.addChildren([
    login,
    desk.addChildren([
      home,
      marketOrders,
      trading,
      marketMakers, marketMaker,
      logging, loggingOverview, tickets, makerActions, failedActions, searchTickets, ticketPage, ticket,
      people, users, kyc, deposits,
      settlement, settings, operations, query,
    ]),
  ]),
  parseSearch: (text) => parseSearch(text),
  stringifySearch: (search) => stringifySearch(search as Record<string, string | undefined>),
  defaultPreload: 'intent',
  defaultErrorComponent: FaultPage,
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
