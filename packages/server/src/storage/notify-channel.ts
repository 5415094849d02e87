/** The PostgreSQL channel on which a commit makes every replica's listener call back. */
export const notifyChannel = 'countersign_changes'
