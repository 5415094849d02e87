/** The audience of tokens for the admin API, which is an API like any other. */
export const adminAudience = 'urn:countersign:admin'
