/*
 * care: the administrator's commands for the database: check-db, backup; and `answer`, which a CGI process
 * starts. Rows of the table in commands.c.
 */
#ifndef PARLEY_CARE_H
#define PARLEY_CARE_H

int care_check_db(int argc, char **argv);
int care_backup(int argc, char **argv);
int care_answer(int argc, char **argv);

#endif
