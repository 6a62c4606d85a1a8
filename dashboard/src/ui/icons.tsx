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
