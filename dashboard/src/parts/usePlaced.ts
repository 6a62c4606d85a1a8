import { useEffect, useState } from 'react'

const FLASH_MS = 1_500

/** Know which order was placed a moment ago, for the ladder to flash its row once. */
export function usePlaced(): [string | undefined, (orderId: string) => void] {
  const [placed, setPlaced] = useState<string>()
  useEffect(() => {
    if (placed === undefined) return undefined
    const timer = setTimeout(() => setPlaced(undefined), FLASH_MS)
    return () => clearTimeout(timer)
  }, [placed])
  return [placed, setPlaced]
}
