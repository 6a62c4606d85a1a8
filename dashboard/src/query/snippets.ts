export type Language = 'curl' | 'python' | 'polars'

/** Write a query as a program that runs it elsewhere; TOKEN stands for what `login` gave. */
export function snippet(language: Language, origin: string, query: string, variables: Record<string, unknown>): string {
  const address = `${origin}/graphql`
  if (language === 'curl') {
    return [
      `curl -sS ${address} \\`,
      `  -H 'Content-Type: application/json' -H "Authorization: Bearer $TOKEN" \\`,
      `  --data-binary @- <<'QUERY'`,
      JSON.stringify({ query: query.trim(), variables }),
      'QUERY',
    ].join('\n')
  }
  const document = `r"""\n${query.trim().replaceAll('"""', '\\"\\"\\"')}\n"""`
  const head = [
    'import json',
    'import os',
    ...(language === 'polars' ? ['', 'import polars as pl'] : ['']),
    'from gql import Client, gql',
    'from gql.transport.httpx import HTTPXTransport',
    '',
    `QUERY = gql(${document})`,
    `QUERY.variable_values = json.loads(r'''${JSON.stringify(variables)}''')`,
    `transport = HTTPXTransport(url="${address}", headers={"Authorization": f"Bearer {os.environ['TOKEN']}"})`,
    '',
    'with Client(transport=transport) as session:',
    '    data = session.execute(QUERY)',
  ]
  if (language === 'python') return [...head, 'print(json.dumps(data, indent=2))'].join('\n')
  return [
    ...head,
    'connection = next(iter(data.values()))',
    'rows = connection["nodes"] if isinstance(connection, dict) and "nodes" in connection else connection',
    'frame = pl.json_normalize(rows if isinstance(rows, list) else [rows])',
    'print(frame)',
  ].join('\n')
}
