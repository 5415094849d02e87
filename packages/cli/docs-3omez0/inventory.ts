// inventory.ts
import { createGuard, receiverFromEnvironment } from '@countersign/guard'
import { guardExpress } from '@countersign/guard/express'
import { createMemorySingleUse } from '@countersign/limits'
import express from 'express'

const { options } = receiverFromEnvironment()
const guard = createGuard({
  serviceTokens: {
    ...options,
    uses: createMemorySingleUse(),
    md5: true,
    onValidation: ({ profile, claimedSender, outcome, reason }) =>
      console.log(`${claimedSender} sent ${profile}: ${reason ?? outcome}`),
  },
})

const app = express()
app.post('/v1/stock/decrease', guardExpress(guard), express.json(), (request, response) => {
  response.json({ calledBy: request.m2mPayload?.sender })
})
app.listen(44623)
