// Before the first paint: the remembered colour scheme, so that a dark desk never flashes white.
// A file of its own because the content security policy allows no inline script.
try {
  const saved = localStorage.getItem('carbondesk.scheme')
  const dark = saved === 'dark' || (saved !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.dataset.mantineColorScheme = dark ? 'dark' : 'light'
} catch {
  document.documentElement.dataset.mantineColorScheme = 'light'
}
