/* common/folder.h - making changes of a folder durable. Any thread. */
#ifndef TW_FOLDER_H
#define TW_FOLDER_H

#include "common/rc.h"

/* To the disk: what was made, renamed or removed in the folder of the file `path`. On an error errno says why; some file systems cannot,
 * and the file is there all the same. */
enum tw_rc folder_sync(const char *path);

#endif
