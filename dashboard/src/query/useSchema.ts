import { buildClientSchema, getIntrospectionQuery, type GraphQLSchema, type IntrospectionQuery } from 'graphql'
import { useEffect, useState } from 'react'
import { run } from './run'

let known: GraphQLSchema | undefined

/** Give the schema as the server tells it; undefined until it is here, or when it may not be read. */
export function useSchema(): GraphQLSchema | undefined {
  const [schema, setSchema] = useState(known)
  useEffect(() => {
    if (known) return undefined
    const abort = new AbortController()
    void run(getIntrospectionQuery({ descriptions: true, specifiedByUrl: true }), {}, abort.signal)
      .then(({ data }) => {
        if (!data) return
        known = buildClientSchema(data as IntrospectionQuery)
        setSchema(known)
      })
      .catch(() => undefined) // the editor works without; running says what is wrong
    return () => abort.abort()
  }, [])
  return schema
}
