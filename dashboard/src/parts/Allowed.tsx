import type { ReactNode } from 'react'
import { can, rolesThatCan, type Permission } from '../can'
import { EmptyNote } from '../ui/Notes'
import { Page } from '../ui/Page'
import { usePerson } from './usePerson'

/** Show a page to those who may see it; tell the others which role is missing. */
export function Allowed({ permission, children }: { permission: Permission; children: ReactNode }) {
  const person = usePerson()
  if (can(person?.role, permission)) return children
  return (
    <Page title="Not for your role">
      <EmptyNote title="Your role may not see this page">
        <p>
          It needs {rolesThatCan(permission).join(' or ')}; you are signed in as {person?.role}.
        </p>
      </EmptyNote>
    </Page>
  )
}
