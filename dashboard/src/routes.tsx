import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import { session } from './client'
import { LoginPage } from './pages/LoginPage'
import { NotFoundPage } from './pages/NotFoundPage'
import { FaultPage } from './parts/FaultPage'
import { Shell } from './parts/Shell'
import { Toasts } from './parts/Toasts'
import {
  only,
  parseSearch,
  returnPath,
  stringifySearch,
  texts,
  type BookSearch,
  type LoginSearch,
  type QuerySearch,
} from './paths'

const MarketOrdersPage = lazyRouteComponent(() => import('./pages/MarketOrdersPage'), 'MarketOrdersPage')
const MarketMakersPage = lazyRouteComponent(() => import('./pages/MarketMakersPage'), 'MarketMakersPage')
const LoggingOverviewPage = lazyRouteComponent(() => import('./pages/LoggingOverviewPage'), 'LoggingOverviewPage')
const AllTicketsPage = lazyRouteComponent(() => import('./pages/TicketsPage'), 'AllTicketsPage')
const MakerActionsPage = lazyRouteComponent(() => import('./pages/TicketsPage'), 'MakerActionsPage')
const FailedActionsPage = lazyRouteComponent(() => import('./pages/TicketsPage'), 'FailedActionsPage')
const SearchPage = lazyRouteComponent(() => import('./pages/TicketsPage'), 'SearchPage')
const QueryPage = lazyRouteComponent(() => import('./query/QueryPage'), 'QueryPage')
const TicketPage = lazyRouteComponent(() => import('./pages/TicketPage'), 'TicketPage')

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
  validateSearch: (search): BookSearch => only(search, 'cert', 'rows'),
  component: MarketOrdersPage,
})

const marketMakers = createRoute({
  getParentRoute: () => desk,
  path: 'market-makers',
  component: MarketMakersPage,
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

export const router = createRouter({
  routeTree: root.addChildren([
    login,
    desk.addChildren([
      home,
      marketOrders,
      marketMakers,
      logging, loggingOverview, tickets, makerActions, failedActions, searchTickets, ticketPage, ticket,
      query,
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
