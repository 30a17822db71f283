/*
 * commands_knowledge: `parley knowledge`, for administrators: which documents the site's chat knows.
 */
#ifndef PARLEY_COMMANDS_KNOWLEDGE_H
#define PARLEY_COMMANDS_KNOWLEDGE_H

int command_knowledge(int argc, char **argv);

#endif
