const POLYNOMIAL = 0xedb88320 // IEEE 802.3, reflected

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1
  return value
})

/** Compute the unsigned CRC-32 of ASCII text. */
export function crc32(text: string): number {
  let value = 0xffffffff
  for (let at = 0; at < text.length; at += 1) {
    value = (value >>> 8) ^ (TABLE[(value ^ text.charCodeAt(at)) & 0xff] ?? 0)
  }
  return (value ^ 0xffffffff) >>> 0
}
