/** One thing that the doctor looked at. */
export interface Finding {
  check: 'config' | 'store' | 'master key' | 'reachability' | 'clock' | 'keys' | 'access' | 'authorities'
  /** `skipped`: there was nothing to look at */
  status: 'ok' | 'warning' | 'problem' | 'skipped'
  /** A sentence */
  says: string
  /** What to do about it */
  cure?: string
}
