import { graphql, type ResultOf } from '../graphql'
import { BalanceRow } from './makerDocuments'

export const OwnAccount = graphql(
  `
    query OwnAccount {
      me {
        id
        kycStatus
        kycReason
        kycDocuments { id kind fileName contentType bytes uploadedAt ticketId }
        balances { ...BalanceRow }
      }
    }
  `,
  [BalanceRow],
)

export const OwnDeposits = graphql(`
  query OwnDeposits($first: Int!, $after: String) {
    deposits(first: $first, after: $after) {
      nodes { id amount reference status reason createdAt decidedAt ticketId }
      pageInfo { hasNextPage endCursor }
    }
  }
`)

export const RequestDeposit = graphql(`
  mutation RequestDeposit($input: RequestDepositInput!) {
    requestDeposit(input: $input) {
      ticketId
      errors { code message field details }
      deposit { id amount reference }
    }
  }
`)

export const UploadKycDocument = graphql(`
  mutation UploadKycDocument($input: UploadKycDocumentInput!) {
    uploadKycDocument(input: $input) {
      ticketId
      errors { code message field details }
      document { id fileName }
      user { id kycStatus }
    }
  }
`)

export const ChangePassword = graphql(`
  mutation ChangePassword($input: ChangePasswordInput!) {
    changePassword(input: $input) {
      ticketId
      errors { code message field details }
      sessionsRevoked
    }
  }
`)

export type Account = NonNullable<ResultOf<typeof OwnAccount>['me']>
export type OwnDeposit = ResultOf<typeof OwnDeposits>['deposits']['nodes'][number]
