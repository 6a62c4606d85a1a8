import { createTheme } from '@mantine/core'

/** What Mantine's components take from us; colours that must be measured live in tokens.css. */
export const theme = createTheme({
  primaryColor: 'desk',
  primaryShade: { light: 8, dark: 7 },
  colors: {
    desk: [
      '#e6f6f8', '#d0e9ee', '#a3d3dc', '#72bbc9', '#4aa7b9',
      '#2f9aae', '#1b8fa4', '#0b7185', '#07606f', '#024e5c',
    ],
  },
  fontFamily: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif",
  fontFamilyMonospace: 'var(--mono)',
  defaultRadius: 'md',
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    // Inside a dialog a header is no banner of the page.
    ModalHeader: { defaultProps: { role: 'presentation' } },
    DrawerHeader: { defaultProps: { role: 'presentation' } },
  },
})
