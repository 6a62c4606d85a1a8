import type { ReactNode } from 'react'
import { can, rolesThatCan, type Permission } from '../can'
import { EmptyNote } from '../ui/Notes'
import { Page } from '../ui/Page'
import { usePerson } from './usePerson'

/** Show a page to those who may see it; tell the others which role is missing. No permission: shown to nobody. */
export function Allowed({ permission, children }: { permission: Permission | undefined; children: ReactNode }) {
  const person = usePerson()
  if (permission && can(person?.role, permission)) return children
  return (
    <Page title="Not for your role">
      <EmptyNote title="Your role may not see this page">
        <p>
          It needs {permission ? rolesThatCan(permission).join(' or ') : 'a role that nobody has'}; you are signed in as{' '}
          {person?.role}.
        </p>
      </EmptyNote>
    </Page>
  )
}
