import { localStorageColorSchemeManager, MantineProvider } from '@mantine/core'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Provider } from 'urql'
import './ui/styles'
import { desk } from './client'
import { plain } from './format'
import { SCHEME_KEY } from './preferences'
import { router } from './routes'
import { theme } from './ui/theme'

const root = document.getElementById('root')
if (!root) throw new Error('index.html has no #root')

// What is copied pastes as plain figures: no thin spaces, no typographic minus.
document.addEventListener('copy', (event) => {
  const text = document.getSelection()?.toString()
  if (!text || event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement) return
  event.clipboardData?.setData('text/plain', plain(text))
  event.preventDefault()
})

createRoot(root).render(
  <StrictMode>
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      colorSchemeManager={localStorageColorSchemeManager({ key: SCHEME_KEY })}
    >
      <Provider value={desk.client}>
        <RouterProvider router={router} />
      </Provider>
    </MantineProvider>
  </StrictMode>,
)
