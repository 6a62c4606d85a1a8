import type { ReactNode } from 'react'

export type IconName = keyof typeof DRAWINGS

const DRAWINGS = {
  book: <path d="M4 6h16M4 10h10M4 14h13M4 18h7" />,
  makers: (
    <>
      <circle cx="9" cy="8" r="3.2" />
      <path d="M3.5 19c.6-3.2 2.7-5 5.5-5s4.9 1.8 5.5 5M15.5 5.300a3.2 3.2 0 0 1 0 5.400M17.5 14.500c1.7.7 2.7 2.2 3 4.5" />
    </>
  ),
  tickets: <path d="M5 4h14v16l-2.3-1.500L14.3 20 12 18.5 9.7 20l-2.4-1.500L5 20zM9 9h6M9 13h6" />,
  sun: (
    <>
      <circle cx="12" cy="12" r="4" />
      <path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.400M18.4 5.6 17 7M7 17l-1.4 1.4" />
    </>
  ),
  moon: <path d="M20 14.500A8 8 0 0 1 9.5 4a8 8 0 1 0 10.5 10.500z" />,
  person: (
    <>
      <circle cx="12" cy="8" r="3.6" />
      <path d="M5 20c.8-3.8 3.5-6 7-6s6.2 2.2 7 6" />
    </>
  ),
  leave: <path d="M14 5H6v14h8M11 12h9M17 9l3 3-3 3" />,
  check: <path d="m5 12.5 4.5 4.500L19 7.5" />,
  cross: <path d="M6 6l12 12M18 6 6 18" />,
  warning: <path d="M12 4 2.8 19.500h18.400zM12 10v4.500M12 17v.01" />,
  up: <path d="M12 19V6M6.5 11 12 5.5 17.5 11" />,
  link: <path d="M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.700L12 7M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.700L12 17" />,
  lock: <path d="M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3" />,
  bell: <path d="M6 16v-5a6 6 0 0 1 12 0v5l1.500 2h-15zM10 20.500h4" />,
  plus: <path d="M12 5v14M5 12h14" />,
  edit: <path d="M5 19v-3.500L15.500 5l3.500 3.500L8.500 19zM13 7.500 16.500 11" />,
  download: <path d="M12 5v10M7.500 11 12 15.500 16.500 11M5 19.500h14" />,
  back: <path d="M19 12H5M11 6l-6 6 6 6" />,
  eye: (
    <>
      <path d="M2.500 12c2-4 5.500-6 9.500-6s7.500 2 9.500 6c-2 4-5.500 6-9.500 6s-7.500-2-9.500-6z" />
      <circle cx="12" cy="12" r="2.600" />
    </>
  ),
  pause: <path d="M8.500 5v14M15.500 5v14" />,
  play: <path d="M7 5v14l12-7z" />,
  down: <path d="m7 10 5 5 5-5" />,
  trade: <path d="M4 8h14M14 4l4 4-4 4M20 16H6M10 12l-4 4 4 4" />,
  settle: <path d="M4 7h16v12H4zM4 11h16M8 15h3M9 7V5h6v2" />,
  settings: <path d="M4 7h9M17 7h3M4 17h3M11 17h9M15 4.500v5M9 14.500v5" />,
  query: <path d="m8 7-5 5 5 5M16 7l5 5-5 5M13.5 5l-3 14" />,
  find: <path d="M10.5 17a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13zM15.5 15.500 20 20" />,
  star: <path d="m12 4 2.500 5.300 5.500.700-4 4 1 5.800-5-2.800-5 2.800 1-5.800-4-4 5.500-.700z" />,
  columns: <path d="M4 5h16v14H4zM9.500 5v14M14.500 5v14" />,
  more: <path d="M5 12h.01M12 12h.01M19 12h.01" />,
  keys: <path d="M3 7h18v10H3zM7 10.500h.01M11 10.500h.01M15 10.500h.01M8 14h8" />,
  clock: <path d="M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3.500 2" />,
} satisfies Record<string, ReactNode>

/** Draw a line icon; it says nothing to a screen reader, the text beside it does. */
export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {DRAWINGS[name]}
    </svg>
  )
}
