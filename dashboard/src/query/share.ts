/** What the editor holds. */
export interface Draft {
  query: string
  variables: string
}

const SHARED_CHARACTERS_MAX = 16_000 // what every browser and proxy takes in an address

/** Write a draft into an address. Raises: RangeError when it is too long for one. */
export async function packed(draft: Draft): Promise<string> {
  const bytes = await through(new TextEncoder().encode(JSON.stringify([draft.query, draft.variables])), new CompressionStream('deflate-raw'))
  const text = btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
  if (text.length > SHARED_CHARACTERS_MAX) throw new RangeError('The query is too long for a link. Save it to a file instead.')
  return text
}

/** Read a draft out of an address; undefined when it is none. */
export async function unpacked(text: string): Promise<Draft | undefined> {
  if (text.length > SHARED_CHARACTERS_MAX) return undefined
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
    const bytes = await through(Uint8Array.from(binary, (one) => one.charCodeAt(0)), new DecompressionStream('deflate-raw'))
    const read: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return Array.isArray(read) && typeof read[0] === 'string' && typeof read[1] === 'string' ? { query: read[0], variables: read[1] } : undefined
  } catch {
    return undefined
  }
}

async function through(bytes: Uint8Array<ArrayBuffer>, stream: CompressionStream | DecompressionStream): Promise<Uint8Array> {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer())
}
