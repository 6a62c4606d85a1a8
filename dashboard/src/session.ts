import { problemOf, type Problem } from './problem'
import type { Desk } from './client'
import { graphql, type ResultOf } from './graphql'
import { Store } from './live/store'

const Me = graphql(`
  query Me {
    me { id email name role }
  }
`)

const Login = graphql(`
  mutation Login($input: LoginInput!) {
    login(input: $input) {
      ticketId
      errors { code message field }
      user { id email name role }
    }
  }
`)

const Logout = graphql(`
  mutation Logout {
    logout { ticketId errors { code message } }
  }
`)

export type Person = NonNullable<ResultOf<typeof Me>['me']>

export type SessionState =
  | { status: 'unknown' }
  | { status: 'anonymous' }
  | { status: 'unreachable'; problem: Problem }
  | { status: 'signed-in'; person: Person; renewals: number }
  /** Ended while somebody was at work: the page stays, a dialog asks to sign in again. */
  | { status: 'expired'; person: Person; renewals: number }

/** A refusal or a failure of signing in, ready to be shown. */
export interface SignInFailure {
  code: string
  message: string
  field: string | null
  ticketId: string | undefined
}

/** Know who is at the desk. The token lives in an HttpOnly cookie and is never seen here. */
export class Session extends Store<SessionState> {
  readonly #desk: Desk
  #loading: Promise<SessionState> | undefined

  constructor(desk: Desk) {
    super({ status: 'unknown' })
    this.#desk = desk
  }

  /** Ask the server once who we are; asked again after it could not be reached. */
  load(): Promise<SessionState> {
    const state = this.read()
    if (state.status !== 'unknown' && state.status !== 'unreachable') return Promise.resolve(state)
    this.#loading ??= this.#ask().finally(() => (this.#loading = undefined))
    return this.#loading
  }

  async signIn(email: string, password: string): Promise<SignInFailure | undefined> {
    const { data, error } = await this.#desk.client.mutation(Login, { input: { email, password } }).toPromise()
    if (error) {
      const { code, message, ticketId } = problemOf(error)
      return { code, message, field: null, ticketId }
    }
    const [refusal] = data?.login?.errors ?? []
    if (refusal) return { ...refusal, ticketId: data?.login?.ticketId }
    const person = data?.login?.user
    if (!person) return { code: 'INTERNAL', message: 'The server named no user.', field: null, ticketId: undefined }
    this.#enter(person)
    return undefined
  }

  /** Leave, and forget everything that was read: a new page load is the only sure way. */
  async signOut(): Promise<Problem | undefined> {
    const { error } = await this.#desk.client.mutation(Logout, {}).toPromise()
    const problem = error && problemOf(error)
    if (problem && problem.code !== 'UNAUTHENTICATED') return problem
    location.assign('/login')
    return undefined
  }

  /** Look again after the server said that it does not know us. */
  async denied(): Promise<void> {
    const before = this.read()
    if (before.status !== 'signed-in') return
    const { data, error } = await this.#desk.client.query(Me, {}, { requestPolicy: 'network-only' }).toPromise()
    if (!error && data && data.me === null && this.read() === before) this.set({ ...before, status: 'expired' })
  }

  async #ask(): Promise<SessionState> {
    const { data, error } = await this.#desk.client.query(Me, {}, { requestPolicy: 'network-only' }).toPromise()
    if (error) this.set({ status: 'unreachable', problem: problemOf(error) })
    else if (data?.me) this.set({ status: 'signed-in', person: data.me, renewals: 0 })
    else this.set({ status: 'anonymous' })
    return this.read()
  }

  #enter(person: Person): void {
    const before = this.read()
    if (before.status === 'expired' && before.person.id !== person.id) {
      location.assign('/') // somebody else: nothing on this page is theirs
      return
    }
    const renewals = before.status === 'expired' ? before.renewals + 1 : 0
    this.set({ status: 'signed-in', person, renewals })
    this.#desk.connection.renew()
  }
}
