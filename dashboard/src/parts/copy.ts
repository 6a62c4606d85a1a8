import { notices } from '../live/notices'

/** Copy a text and say so; where the browser forbids it, show the text instead. */
export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    notices.tell({ tone: 'ok', title: `Copied ${what}`, detail: text.length > 120 ? undefined : text })
  } catch {
    notices.tell({ tone: 'fail', title: 'The browser did not allow copying', detail: text.slice(0, 400) })
  }
}
