/** Write the part of actions that were done, in per cent with one place; never 100.0 while one failed. */
export function successShare(count: number, failed: number): string {
  if (count === 0) return '\u2014'
  return (Math.floor(((count - failed) * 1000) / count) / 10).toFixed(1)
}
