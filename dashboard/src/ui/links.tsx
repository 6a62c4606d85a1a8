import { Button, Menu, type ButtonProps, type MenuItemProps } from '@mantine/core'
import { createLink } from '@tanstack/react-router'
import type { AnchorHTMLAttributes, Ref } from 'react'

type Anchor = Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof ButtonProps> & { ref?: Ref<HTMLAnchorElement> }

/** A link of the desk that looks like a button. */
export const ButtonLink = createLink((props: ButtonProps & Anchor) => <Button component="a" {...props} />)

type ItemAnchor = Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof MenuItemProps> & { ref?: Ref<HTMLAnchorElement> }

/** A link of the desk in a menu. */
export const MenuLink = createLink((props: MenuItemProps & ItemAnchor) => <Menu.Item component="a" {...props} />)
