import { Button } from '@mantine/core'
import type { ErrorComponentProps } from '@tanstack/react-router'
import { EmptyNote } from '../ui/Notes'
import { Page } from '../ui/Page'

/** Stand in for a page that threw: a fault of ours, or a new version that replaced the files of this one. */
export function FaultPage({ error }: ErrorComponentProps) {
  return (
    <Page title="This page failed">
      <EmptyNote title="This page failed to show">
        <p>{error instanceof Error ? error.message : String(error)}</p>
        <Button variant="default" onClick={() => location.reload()}>
          Load it again
        </Button>
      </EmptyNote>
    </Page>
  )
}
