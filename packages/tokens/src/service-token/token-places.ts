/**
 * The names under which a service token travels: header fields of HTTP, metadata of gRPC, headers of a Kafka record.
 * Either is taken; what we sign goes under the first, in Kafka records under the second.
 */
export const serviceTokenHeaders = ['x-m2m-token', 'm2m-token'] as const

export type ServiceTokenHeader = (typeof serviceTokenHeaders)[number]

/** The member of a Kafka message that holds its token: either is taken, the first is what we write. */
export const serviceTokenFields = ['M2MToken', 'm2mToken'] as const
