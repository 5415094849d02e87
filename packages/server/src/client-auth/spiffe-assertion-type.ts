/** A JWT-SVID as client assertion (draft-ietf-oauth-spiffe-client-auth section 3.1). */
export const spiffeAssertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe'
