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
import type { AccountSearch, BookSearch, MakerSearch, MakersSearch } from './marketPaths'
import {
  only,
  parseSearch,
  returnPath,
  stringifySearch,
  type LoginSearch,
  type TicketsSearch,
} from './paths'

const MarketOrdersPage = lazyRouteComponent(() => import('./pages/MarketOrdersPage'), 'MarketOrdersPage')
const MarketMakersPage = lazyRouteComponent(() => import('./pages/MarketMakersPage'), 'MarketMakersPage')
const MarketMakerPage = lazyRouteComponent(() => import('./pages/MarketMakerPage'), 'MarketMakerPage')
const TradingPage = lazyRouteComponent(() => import('./pages/TradingPage'), 'TradingPage')
const TicketsPage = lazyRouteComponent(() => import('./pages/TicketsPage'), 'TicketsPage')

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

const logging = createRoute({
  getParentRoute: () => desk,
  path: 'logging',
  beforeLoad: () => {
    throw redirect({ to: '/logging/tickets', replace: true })
  },
})

const tickets = createRoute({
  getParentRoute: () => desk,
  path: 'logging/tickets',
  validateSearch: (search): TicketsSearch => only(search, 'status', 'action', 'ticket'),
  component: TicketsPage,
})

/** The short address of a ticket, for mails and chats. */
const ticket = createRoute({
  getParentRoute: () => desk,
  path: 't/$ticketId',
  beforeLoad: ({ params }) => {
    throw redirect({ to: '/logging/tickets', search: { ticket: params.ticketId }, replace: true })
  },
})

export const router = createRouter({
  routeTree: root.addChildren([
    login,
    desk.addChildren([
      home,
      marketOrders,
      trading,
      marketMakers, marketMaker,
      logging, tickets, ticket,
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
