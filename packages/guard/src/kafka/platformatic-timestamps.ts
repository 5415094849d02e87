interface FetchResponse {
  readonly responses: readonly { readonly partitions: readonly { readonly records?: readonly RecordsBatch[] }[] }[]
}

interface RecordsBatch {
  readonly attributes: number
  firstTimestamp: bigint
  readonly maxTimestamp: bigint
  readonly records: { timestampDelta: bigint; metadata?: Record<string, unknown> }[]
}

interface FetchingConsumer {
  // biome-ignore lint/suspicious/noExplicitAny: the options are passed on as they are.
  fetch(options: any, callback: any): void
}

const corrected = new WeakSet<FetchingConsumer>()
/** KIP-32: the attribute of a batch whose records have the time at which the broker appended it, its `maxTimestamp`. */
const logAppendTime = 0x08

/**
 * @platformatic/kafka gives each record the time that its writer put there, also where the topic has the broker set it
 * (`LogAppendTime`); as far as 2.12. This corrects the batches that a consumer fetches, and notes at each record, as
 * `metadata.timestampType`, whose time it is.
 */
export function tellTimestampTypes(consumer: FetchingConsumer): void {
  if (corrected.has(consumer)) return
  corrected.add(consumer)
  const fetch = consumer.fetch
  consumer.fetch = (options, callback) => {
    if (typeof callback !== 'function') return fetch.call(consumer, options, callback)
    return fetch.call(consumer, options, (error: unknown, response: FetchResponse | undefined) => {
      if (response !== undefined) correct(response)
      callback(error, response)
    })
  }
}

function correct({ responses }: FetchResponse): void {
  for (const { partitions } of responses) {
    for (const { records: batches } of partitions) for (const batch of batches ?? []) correctBatch(batch)
  }
}

function correctBatch(batch: RecordsBatch): void {
  const isAppendTime = (batch.attributes & logAppendTime) !== 0
  const note = { timestampType: isAppendTime ? 'append' : 'create' }
  if (isAppendTime) batch.firstTimestamp = batch.maxTimestamp
  for (const record of batch.records) {
    if (isAppendTime) record.timestampDelta = 0n
    record.metadata = { ...record.metadata, ...note }
  }
}
