import '@mantine/spotlight/styles.layer.css'
import { useMantineColorScheme, useComputedColorScheme } from '@mantine/core'
import { createSpotlight, Spotlight } from '@mantine/spotlight'
import { useRouter } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { can } from '../can'
import { session, useAnswer } from '../client'
import { formatPrice, formatQuantity } from '../format'
import { graphql } from '../graphql'
import { keyboard, keysForPeople } from '../keyboard'
import { zoneChoice } from '../preferences'
import { Icon, type IconName } from '../ui/icons'
import { useAreas } from './Navigation'
import { usePerson } from './usePerson'

const [store, spotlight] = createSpotlight()
const MAKERS_MAX = 6
const TICKET_ID = /^TKT-\d{4}-\d{6,}$/i
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i
const NO_ID = '00000000-0000-0000-0000-000000000000'

const Makers = graphql(`
  query PaletteMakers($search: String!, $first: Int!) {
    marketMakers(filter: { search: $search }, first: $first) { nodes { id name isActive } }
  }
`)

const Named = graphql(`
  query PaletteNamed($id: ID!) {
    marketMaker(id: $id) { id name }
    order(id: $id) { ticketId side quantity certificateType price status }
    user(id: $id) { id name role }
  }
`)

interface Choice {
  group: string
  label: string
  hint?: string | undefined
  icon: IconName
  run: () => void
}

interface Props {
  close: () => void
  showKeys: () => void
}

/** Jump: to a page, a market maker, whatever an id names; or do what a key of this page does. */
export default function Palette({ close, showKeys }: Props) {
  const [query, setQuery] = useState('')
  useEffect(() => spotlight.open(), [])
  const named = useNamed(query.trim())
  const places = usePlaces()
  const actions = useActions(showKeys)
  const makers = useMakers(query.trim())
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  const fits = ({ label, hint }: Choice) => words.every((word) => `${label} ${hint ?? ''}`.toLowerCase().includes(word))
  const choices = [...named, ...[...places, ...actions].filter(fits), ...makers]
  const groups = [...new Set(choices.map(({ group }) => group))]
  return (
    <Spotlight.Root
      query={query}
      onQueryChange={setQuery}
      store={store}
      onSpotlightClose={close}
      shortcut={null}
      attributes={{ content: { 'aria-label': 'Jump to' } }}
      transitionProps={{ duration: 0 }}
    >
      <Spotlight.Search
        placeholder="A page, a market maker, a ticket, an order, any id"
        aria-label="Jump to"
        leftSection={<Icon name="find" />}
        autoFocus
      />
      <Spotlight.ActionsList>
        {groups.map((group) => (
          <Spotlight.ActionsGroup key={group} label={group}>
            {choices.filter((choice) => choice.group === group).map((choice) => (
              <Spotlight.Action
                key={`${choice.group} ${choice.label}`}
                label={choice.label}
                // What Enter takes is the first choice, also when it came later than the text.
                data-selected={choice === choices[0] || undefined}
                leftSection={<Icon name={choice.icon} />}
                rightSection={choice.hint && <span>{choice.hint}</span>}
                onClick={choice.run}
              />
            ))}
          </Spotlight.ActionsGroup>
        ))}
        {choices.length === 0 && <Spotlight.Empty>Nothing has that name. A ticket is TKT-2026-000001, an id a UUID.</Spotlight.Empty>}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  )
}

function useGo(): (address: string) => void {
  const router = useRouter()
  return (address) => void router.history.push(address)
}

function usePlaces(): Choice[] {
  const go = useGo()
  return useAreas().flatMap(({ label, icon, places, ...area }) =>
    (places ?? [{ ...area, label }]).map((place) => ({
      group: 'Pages',
      label: place.label === label ? label : `${label}: ${place.label}`,
      hint: keyboard.keyFor(`g ${place.key}`),
      icon,
      run: () => go(place.to),
    })),
  )
}

// What keys do on the page that is open can be done from here too, also by those who switched single keys off.
function useActions(showKeys: () => void): Choice[] {
  const { setColorScheme } = useMantineColorScheme()
  const scheme = useComputedColorScheme('light')
  const here = keyboard.read().groups.filter(({ title }) => !['Go to', 'Everywhere'].includes(title))
  const bound = here.flatMap(({ bindings }) =>
    bindings.map(({ keys, does, run }) => ({ group: 'On this page', label: does, hint: keysForPeople(keyboard.keyFor(keys)).join(' '), icon: 'keys' as const, run })),
  )
  return [
    ...bound,
    { group: 'Actions', label: 'Times in UTC or local', hint: keyboard.keyFor('u'), icon: 'clock', run: zoneChoice.flip },
    {
      group: 'Actions', label: 'Dark or light', hint: keyboard.keyFor('d'), icon: scheme === 'dark' ? 'sun' : 'moon',
      run: () => setColorScheme(scheme === 'dark' ? 'light' : 'dark'),
    },
    { group: 'Actions', label: 'Show the keys', hint: keyboard.keyFor('?'), icon: 'keys', run: showKeys },
    { group: 'Actions', label: 'Sign out', icon: 'leave', run: () => void session.signOut() },
  ]
}

function useMakers(search: string): Choice[] {
  const reads = can(usePerson()?.role, 'makers.read')
  const { data } = useAnswer(Makers, { search, first: MAKERS_MAX }, !reads || search === '' || search.length > 64)
  const go = useGo()
  if (search === '') return []
  return (data?.marketMakers.nodes ?? []).map(({ id, name, isActive }) => ({
    group: 'Market makers', label: name, hint: isActive ? undefined : 'inactive', icon: 'makers', run: () => go(`/market-makers/${id}`),
  }))
}

/** Offer what a pasted id names. */
function useNamed(text: string): Choice[] {
  const role = usePerson()?.role
  const isUuid = UUID.test(text)
  const { data, fetching } = useAnswer(Named, { id: isUuid ? text : NO_ID }, !isUuid || !can(role, 'makers.read'))
  const go = useGo()
  const group = 'What it names'
  if (!can(role, 'tickets.read')) return []
  if (TICKET_ID.test(text)) {
    const id = text.toUpperCase()
    return [{ group, label: id, hint: 'ticket', icon: 'tickets', run: () => go(`/t/${id}`) }]
  }
  if (!isUuid || fetching) return []
  const { marketMaker, order, user } = data ?? {}
  const choices: Choice[] = []
  if (marketMaker) {
    choices.push({ group, label: marketMaker.name, hint: 'market maker', icon: 'makers', run: () => go(`/market-makers/${marketMaker.id}`) })
  }
  if (order) {
    const label = `${order.side} ${formatQuantity(order.quantity)} ${order.certificateType} @ ${formatPrice(order.price)}`
    choices.push({ group, label, hint: 'order', icon: 'book', run: () => go(`/t/${order.ticketId}`) })
  }
  if (user && can(role, 'people.read')) {
    choices.push({ group, label: user.name, hint: 'user', icon: 'person', run: () => go(`/people/users?user=${user.id}`) })
  }
  choices.push({ group, label: 'Every ticket about it', icon: 'tickets', run: () => go(`/logging/tickets?q=${text}`) })
  return choices
}
